"""The fleet: its nodes as cards, as a table, or each on a line of time; found by words and by how they are."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

import msgspec

from gateway.core import wording
from gateway.core.rollup import HOUR_MS
from gateway.core.status import DeviceState
from sync.hub.reading.nodes import NodeLine, NodesQuery, Order, Totals
from sync.hub.rollup.rollups import HoursHeld
from sync.hub.web.api import Call, Nothing
from sync.hub.web.devicecards import device_card
from sync.hub.web.paging import After, Listed, Name
from sync.hub.web.rights import Caller, Role
from sync.hub.web.shell import Page

AT_ONCE = {"cards": 24, "table": 100, "timeline": 24}
HOURS = 48  # of the timeline
WHOLE = 0.98  # of the most records that an hour of the node had: a poll or two may come late
Show = Literal["cards", "table", "timeline"]
State = Literal["", "online", "offline", "problems"]
ORDERS: dict[Order, str] = {
    "id": "name", "last_seen": "silent for longest", "-backlog": "most not sent", "newest": "furthest behind",
}  # fmt: skip


class FleetQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What the page is asked for; a parameter too many does no harm."""

    q: Name = ""
    show: Show = "cards"
    state: State = ""
    site: Name = ""
    organisation: Name = ""
    order: Order = "id"
    after: After = ""

    @property
    def nodes(self) -> NodesQuery:
        online = {"online": True, "offline": False}.get(self.state)
        return NodesQuery(
            q=self.q, site=self.site, organisation=self.organisation, online=online,
            problems=True if self.state == "problems" else None,
            order=self.order, after=self.after, limit=AT_ONCE[self.show],
        )  # fmt: skip

    def address(self, **changes: str) -> str:
        """The page as it is asked for, with `changes`; without `after` it begins anew."""
        fields = msgspec.structs.asdict(self) | {"after": ""} | changes
        given = {name: value for name, value in fields.items() if value != DEFAULTS[name]}
        return f"?{urlencode(given)}"


DEFAULTS = msgspec.structs.asdict(FleetQuery())


class Nodes(Protocol):
    """What the page needs of the nodes. All methods raise StorageError."""

    async def lines(self, caller: Caller, query: NodesQuery, now: int) -> Listed[NodeLine]: ...

    async def totals(self, caller: Caller, now: int) -> Totals: ...

    async def devices(self, nodes: list[str], now: int) -> dict[str, tuple[DeviceState, ...]]: ...


class Held(Protocol):
    async def completeness(self, node: str, since: int, until: int) -> list[HoursHeld]:
        """See `sync.hub.rollup.rollups.Rollups.completeness`."""
        ...


class FleetPages:
    """The page, and the part of it that it fetches again."""

    def __init__(self, nodes: Nodes, held: Held) -> None:
        self._nodes = nodes
        self._held = held

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(path="/", template="fleet.html", right=Role.VIEWER, view=self._view, query=FleetQuery, nav="Fleet"),
            Page(path="/part/fleet", template="_fleet.html", right=Role.VIEWER, view=self._view, query=FleetQuery),
        )

    async def _view(self, call: Call[FleetQuery, Nothing]) -> dict[str, Any]:
        query, now = call.query, call.now
        found = await self._nodes.lines(call.caller, query.nodes, now)
        ids = [node.id for node in found.items]
        devices = await self._nodes.devices(ids, now) if query.show == "cards" else {}
        strips: dict[str, Any] = {}
        if query.show == "timeline":
            begin = now // HOUR_MS * HOUR_MS - (HOURS - 1) * HOUR_MS
            for node in ids:
                strips[node] = strip(await self._held.completeness(node, begin, now), begin, now)
        totals = await self._nodes.totals(call.caller, now)
        return fleet_view(query, found, totals, devices, strips, now)


def fleet_view(
    query: FleetQuery, found: Listed[NodeLine], totals: Totals, devices: Mapping[str, Sequence[DeviceState]],
    strips: Mapping[str, Any], now: int,
) -> dict[str, Any]:  # fmt: skip
    """The fleet as the page shows it; pure."""
    states = [
        ("", "all", totals.nodes),
        ("online", "online", totals.online),
        ("offline", "offline", totals.nodes - totals.online),
        ("problems", "with problems", totals.problems),
    ]
    return {
        "query": query,
        "part": f"/part/fleet{query.address(after=query.after)}",
        "title": f"{totals.online:,} of {totals.nodes:,} nodes online",
        "states": [
            {"name": name, "count": f"{count:,}", "address": query.address(state=state), "here": state == query.state}
            for state, name, count in states
        ],
        "shows": [{"name": show, "address": query.address(show=show), "here": show == query.show} for show in AT_ONCE],
        "orders": [{"value": value, "name": name, "here": value == query.order} for value, name in ORDERS.items()],
        "nodes": [node_view(node, devices.get(node.id, ()), strips.get(node.id), now) for node in found.items],
        "next": query.address(after=found.next) if found.next else "",
        "first": query.address() if query.after else "",
        "nobody": not totals.nodes,
    }


def node_view(node: NodeLine, devices: Sequence[DeviceState], timeline: Any, now: int) -> dict[str, Any]:
    return {
        "id": node.id,
        "site": node.site_name,
        "presence": presence(node),
        "seen": f"heard {wording.age_text(now - node.last_seen)} ago" if node.last_seen else "never heard",
        "lag": f"{wording.age_text(node.lag_ms)} behind" if node.lag_ms is not None else "no reading yet",
        "records": wording.number_text(node.records, ""),
        "version": node.version,
        "backlog": "" if node.backlog is None else wording.number_text(node.backlog, ""),
        "problems": node.problems,
        "devices": [device_card(device, now) for device in devices],
        "strip": timeline,
    }


def presence(node: NodeLine) -> str:
    if not node.last_seen:
        return "never heard"
    return "online" if node.online else "offline"


def strip(held: Sequence[HoursHeld], begin: int, now: int) -> dict[str, Any]:
    """The last hours of a node: how much of each is here, against its fullest hour; the last one is not over.

    It shows when something was away; what should be there is said device by device, on the page of completeness.
    """
    hours = [sum(one.records.get(ts, 0) for one in held) for ts in range(begin, now, HOUR_MS)]
    most = max(hours, default=0)
    marks = [_level(count, most) for count in hours[:-1]] + ["some" if hours[-1] else "none"]
    told = [f"{wording.utc_text(begin + at * HOUR_MS)}: {count:,}" for at, count in enumerate(hours)]
    gaps = sum(mark != "whole" for mark in marks[:-1])
    words = f"{len(marks) - 1 - gaps} of the last {len(marks) - 1} hours are as full as the fullest"
    return {"marks": list(zip(marks, told, strict=True)), "words": words if most else "nothing in these hours"}


def _level(count: int, most: int) -> str:
    if not count:
        return "none"
    return "whole" if count >= WHOLE * most else "some"
