"""The operator's page: every node, online or not, how far it lags, its last values."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gateway.core import wording
from gateway.core.status import DeviceState
from sync.hub.api import Call, Nothing
from sync.hub.paging import Listed
from sync.hub.readingnodes import NodeLine, NodesQuery
from sync.hub.rights import Caller, Role
from sync.hub.shell import NoQuery, Page


class Nodes(Protocol):
    """What the page needs of the nodes. All methods raise StorageError."""

    async def lines(self, caller: Caller, query: NodesQuery, now: int) -> Listed[NodeLine]: ...

    async def devices(self, nodes: list[str]) -> dict[str, tuple[DeviceState, ...]]: ...


class FleetPages:
    """The page, and the part of it that it fetches again."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(path="/", template="nodes.html", right=Role.VIEWER, view=self._view, query=NoQuery, nav="Fleet"),
            Page(path="/part/nodes", template="_nodes.html", right=Role.VIEWER, view=self._view, query=NoQuery),
        )

    async def _view(self, call: Call[NoQuery, Nothing]) -> dict[str, Any]:
        lines = (await self._nodes.lines(call.caller, NodesQuery(), call.now)).items
        return fleet_view(lines, await self._nodes.devices([line.id for line in lines]), call.now)


def fleet_view(nodes: Sequence[NodeLine], devices: Mapping[str, Sequence[DeviceState]], now: int) -> dict[str, Any]:
    """The fleet as the page shows it; pure."""
    online = sum(node.online for node in nodes)
    return {
        "title": f"{online} of {len(nodes)} nodes online",
        "nodes": [_node_view(node, devices.get(node.id, ()), now) for node in nodes],
    }


def _node_view(node: NodeLine, devices: Sequence[DeviceState], now: int) -> dict[str, Any]:
    return {
        "node": node.id,
        "presence": "online" if node.online else "offline",
        "seen": f"{wording.age_text(now - node.last_seen)} ago",
        "lag": f"{wording.age_text(node.lag_ms)} behind" if node.lag_ms is not None else "no reading yet",
        "records": f"{wording.number_text(node.records, '')} records",
        "beat": _beat_text(node),
        "problems": node.problems,
        "devices": [_device_view(device, now) for device in devices],
    }


def _beat_text(node: NodeLine) -> str:
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
