"""One node: how it is, the values of its devices as they come, charts, what happened, and where to go on."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from gateway.core import wording
from gateway.core.model import Event
from gateway.core.status import DeviceState
from sync.hub.api import Call, Nothing
from sync.hub.devicecards import value_view
from sync.hub.fleetpage import node_view
from sync.hub.readingnodes import NodeDetail
from sync.hub.rights import Role
from sync.hub.shell import NoQuery, Page, script_json

EVENTS_SHOWN = 30
LINKS = {
    "completeness": "Completeness", "batches": "Ingest", "configuration": "Configuration", "commands": "Commands",
}  # fmt: skip


class Nodes(Protocol):
    async def detail(self, node: str, now: int) -> NodeDetail:
        """See `sync.hub.readingnodes.Nodes`."""
        ...


class Events(Protocol):
    async def events(self, node: str, most: int) -> list[Event]:
        """See `sync.hub.store.Store`."""
        ...


class NodePages:
    """The page."""

    def __init__(self, nodes: Nodes, events: Events) -> None:
        self._nodes = nodes
        self._events = events

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(path="/nodes/{node}", template="node.html", right=Role.VIEWER, view=self._view, query=NoQuery),
            Page(
                path="/part/nodes/{node}/events", template="_events.html", right=Role.VIEWER, view=self._happened,
                query=NoQuery,
            ),
        )  # fmt: skip

    async def _view(self, call: Call[NoQuery, Nothing]) -> dict[str, Any]:
        detail = await self._nodes.detail(call.path["node"], call.now)
        return node_page(detail, call.now) | await self._happened(call)

    async def _happened(self, call: Call[NoQuery, Nothing]) -> dict[str, Any]:
        return {"events": [event_view(e) for e in await self._events.events(call.path["node"], EVENTS_SHOWN)]}


def node_page(node: NodeDetail, now: int) -> dict[str, Any]:
    """Pure."""
    return {
        "node": node_view(node, (), None, now),
        "links": [{"path": f"/nodes/{node.id}/{path}", "name": name} for path, name in LINKS.items()],
        "devices": [_device(device, now) for device in node.devices],
        "charts": script_json({"node": node.id, "devices": [_plotted(device) for device in node.devices]}),
    }


def _device(device: DeviceState, now: int) -> dict[str, Any]:
    main = {reading.key for reading in wording.main_readings(device.readings)}
    views = [value_view(reading) for reading in device.readings]
    return {
        "name": device.name,
        "role": device.role,
        "profile": device.profile,
        "ts": device.ts,
        "age": f"{wording.age_text(now - device.ts)} ago",
        "main": [view for view in views if view["key"] in main],
        "others": [view for view in views if view["key"] not in main],
    }


def _plotted(device: DeviceState) -> dict[str, Any]:
    """What of it can be drawn, main values first."""
    main = [reading.key for reading in wording.main_readings(device.readings)]
    numbers = [r for r in device.readings if not isinstance(r.value, str)]
    ordered = sorted(numbers, key=lambda r: main.index(r.key) if r.key in main else len(main))
    return {
        "name": device.name,
        "points": [{"key": r.key, "label": wording.label(r.key), "unit": r.unit} for r in ordered],
    }


def event_view(event: Event) -> dict[str, str]:
    return {
        "time": wording.utc_text(event.ts, "%Y-%m-%d %H:%M:%S"),
        "what": event.kind.replace("_", " "),
        "device": event.device,
        "detail": _plain(event.detail),
    }


def _plain(detail: str) -> str:
    """A detail that is JSON as its words."""
    try:
        found = msgspec.json.decode(detail)
    except msgspec.MsgspecError:
        return detail
    if not isinstance(found, dict):
        return detail
    return ", ".join(f"{name}: {value}" for name, value in found.items() if value not in ("", None))
