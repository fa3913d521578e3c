"""The operator's page: every node, online or not, how far it lags, its last values."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.core import wording
from gateway.core.status import DeviceState, NodeState
from sync.hub.api import Call, Nothing, Route
from sync.hub.rights import NOWHERE, Role
from sync.hub.shell import NoQuery, Page
from sync.hub.tenants import Tenants

Nodes = Callable[[int], Awaitable[list[NodeState]]]  # of the wall time


class FleetPages:
    """The page, the part of it that it fetches again, and the JSON beside it."""

    def __init__(self, nodes: Nodes, tenants: Tenants) -> None:
        self._nodes = nodes
        self._tenants = tenants

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(path="/", template="nodes.html", right=Role.VIEWER, view=self._view, query=NoQuery, nav="Fleet"),
            Page(path="/part/nodes", template="_nodes.html", right=Role.VIEWER, view=self._view, query=NoQuery),
        )

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/nodes", summary="All nodes, with the newest values of their devices",
                right=Role.VIEWER, handle=self._list, query=Nothing, body=Nothing, answer=list[NodeState],
            ),
        )  # fmt: skip

    async def _view(self, call: Call[NoQuery, Nothing]) -> dict[str, Any]:
        return fleet_view(await self._of(call), call.now)

    async def _list(self, call: Call[Nothing, Nothing]) -> list[NodeState]:
        return await self._of(call)

    async def _of(self, call: Call[Any, Any]) -> list[NodeState]:
        """Those that the caller may see."""
        places = await self._tenants.places()
        found = await self._nodes(call.now)
        return [node for node in found if call.caller.may(Role.VIEWER, places.get(node.node, NOWHERE))]


def fleet_view(nodes: list[NodeState], now: int) -> dict[str, Any]:
    """The fleet as the page shows it; pure."""
    online = sum(node.online for node in nodes)
    return {"title": f"{online} of {len(nodes)} nodes online", "nodes": [_node_view(node, now) for node in nodes]}


def _node_view(node: NodeState, now: int) -> dict[str, Any]:
    return {
        "node": node.node,
        "presence": "online" if node.online else "offline",
        "seen": f"{wording.age_text(now - node.last_seen)} ago",
        "lag": f"{wording.age_text(node.lag_ms)} behind" if node.newest else "no reading yet",
        "records": f"{wording.number_text(node.records, '')} records",
        "beat": _beat_text(node),
        "problems": node.problems,
        "devices": [_device_view(device, now) for device in node.devices],
    }


def _beat_text(node: NodeState) -> str:
    if node.backlog is None:
        return ""
    return f"release {node.version} · {wording.number_text(node.backlog, '')} records not sent"


def _device_view(device: DeviceState, now: int) -> dict[str, Any]:
    points = [
        {
            "label": wording.label(r.key),
            "text": wording.reading_text(r),
            "unit": "" if r.words or r.value is None else r.unit,
        }
        for r in wording.main_readings(device.readings)
    ]
    return {
        "name": device.name,
        "role": device.role,
        "age": f"{wording.age_text(now - device.ts)} ago",
        "points": points,
    }
