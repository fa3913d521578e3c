"""One node: how it is, the values of its devices as they come, charts, what happened, and where to go on."""

from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import msgspec

from gateway.core import wording
from gateway.core.model import Event
from gateway.core.status import DeviceState
from sync.hub.reading.fleetpage import node_view
from sync.hub.reading.nodefacts import Facts, facts_view
from sync.hub.reading.nodes import NodeDetail
from sync.hub.web.api import Call, Nothing
from sync.hub.web.devicecards import value_view
from sync.hub.web.rights import Role
from sync.hub.web.shell import NoQuery, Page, script_json

EVENTS_SHOWN = 30
LINKS = {"completeness": "Completeness", "configuration": "Configuration", "commands": "Commands"}


class Nodes(Protocol):
    async def detail(self, node: str, now: int) -> NodeDetail:
        """See `sync.hub.reading.nodes.Nodes`."""
        ...


class Events(Protocol):
    async def events(self, node: str, most: int) -> list[Event]:
        """See `sync.hub.store.contract.Store`."""
        ...


class Beside(Protocol):
    async def of(self, call: Call[Any, Any]) -> Facts:
        """See `sync.hub.reading.nodefacts.NodeFacts`."""
        ...


class NodePages:
    """The page."""

    def __init__(self, nodes: Nodes, events: Events, facts: Beside) -> None:
        self._nodes = nodes
        self._events = events
        self._facts = facts

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(path="/nodes/{node}", template="node.html", right=Role.VIEWER, view=self._view, query=NoQuery,
                 under="/"),
            Page(
                path="/part/nodes/{node}/events", template="_events.html", right=Role.VIEWER, view=self._happened,
                query=NoQuery,
            ),
        )  # fmt: skip

    async def _view(self, call: Call[NoQuery, Nothing]) -> dict[str, Any]:
        detail, facts = await self._nodes.detail(call.path["node"], call.now), await self._facts.of(call)
        may = {"may_enrol": call.caller.may(Role.OPERATOR, call.place)}
        return node_page(detail, call.now) | facts_view(facts, call.now) | await self._happened(call) | may

    async def _happened(self, call: Call[NoQuery, Nothing]) -> dict[str, Any]:
        return {"events": [event_view(e) for e in await self._events.events(call.path["node"], EVENTS_SHOWN)]}


def node_page(node: NodeDetail, now: int) -> dict[str, Any]:
    """Pure."""
    here = f"/nodes/{quote(node.id, safe='')}"
    return {
        "node": node_view(node, (), None, now) | {"site_id": node.site, "path": here},
        "lag": lag_view(node, now),
        "links": [{"path": f"{here}/{path}", "name": name} for path, name in LINKS.items()],
        "enrol": f"/enrol?{urlencode({'after': node.id[:-1]})}#node-{quote(node.id)}",  # the list from there on
        "csv": f"/api/v1/export?{urlencode({'node': node.id, 'format': 'csv'})}",
        "ingest": f"/ingest?{urlencode({'of': node.id})}",
        "devices": [_device(device, now) for device in node.devices],
        "charts": script_json({"node": node.id, "devices": [_plotted(device) for device in node.devices]}),
    }


def lag_view(node: NodeDetail, now: int) -> dict[str, str]:
    """How far the hub is behind the gateway, by name: what is here, and what the gateway said that it still has."""
    told = {"Last heard": _ago(node.last_seen, now), "First heard": _since(node.first_seen),
            "Newest reading": _ago(node.newest, now)}  # fmt: skip
    if node.backlog is not None:
        told["Not sent"] = f"{node.backlog:,} records" if node.backlog else "nothing"
        if node.oldest is not None:
            told["Oldest not sent"] = f"{wording.utc_text(node.oldest)} UTC, {wording.age_text(now - node.oldest)} old"
    told["Records here"] = f"{node.records:,}"
    return told | ({"Release": node.version} if node.version else {})


def _ago(ts: int, now: int) -> str:
    return f"{wording.age_text(now - ts)} ago" if ts else "never"


def _since(ts: int) -> str:
    return f"{wording.utc_text(ts)} UTC" if ts else "never"


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
