"""Nodes read back: a light line of each, many to a page; and one with the newest values of its devices."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from gateway.core.model import Layout, Record
from gateway.core.status import DeviceState
from sync.hub.reading.newest import devices_of
from sync.hub.store.commandstore import heartbeat_of
from sync.hub.store.contract import AHEAD_MS, ONLINE_MS
from sync.hub.store.layouts import known_layout
from sync.hub.store.sql import Row, Sql
from sync.hub.web.api import NOT_THERE, ApiError, Call, Nothing, Route
from sync.hub.web.conditions import Where
from sync.hub.web.paging import LAST, Listed, Name, Paged, listed, marked
from sync.hub.web.rights import Caller, Role

LINES = """SELECT {key}, node.id, coalesce(site.organisation, ''), coalesce(site.id, ''), coalesce(site.name, ''),
        node.first_seen, node.last_seen, node.newest, node.records, heartbeat.body
    FROM node LEFT JOIN site ON site.id = node.site LEFT JOIN heartbeat ON heartbeat.node = node.id
    WHERE {where} ORDER BY {key} {way}, node.id {way} LIMIT {limit}"""
TOTALS = """SELECT count(*), coalesce(sum(CASE WHEN node.last_seen > {online} THEN 1 ELSE 0 END), 0),
        coalesce(sum(CASE WHEN heartbeat.problems > 0 THEN 1 ELSE 0 END), 0)
    FROM node LEFT JOIN site ON site.id = node.site LEFT JOIN heartbeat ON heartbeat.node = node.id WHERE {where}"""
NEWEST = """WITH newest AS MATERIALIZED
        (SELECT id, node, encoded, holdfast_newest(id, {until}) AS ts FROM series WHERE {where})
    SELECT newest.node, newest.encoded, last.ts, last.flags, last.row
    FROM newest JOIN record AS last ON last.series = newest.id AND last.ts = newest.ts"""
TIMEZONE = "SELECT site.timezone FROM node JOIN site ON site.id = node.site WHERE node.id = $1"
IS_LIKE = r"(lower(node.id) LIKE lower({}) ESCAPE '\' OR lower(site.name) LIKE lower({}) ESCAPE '\')"
KEYS = {
    "id": "node.id",
    "last_seen": "node.last_seen",
    "newest": "node.newest",
    "backlog": "coalesce(heartbeat.backlog, -1)",
}

Order = Literal["id", "-id", "last_seen", "-last_seen", "newest", "-newest", "backlog", "-backlog"]


class NodesQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    q: Annotated[Name, msgspec.Meta(description="a part of the id, or of the site's name")] = ""
    site: Name = ""
    organisation: Name = ""
    online: bool | None = None
    problems: Annotated[bool | None, msgspec.Meta(description="whether the last heartbeat told of any")] = None
    order: Annotated[Order, msgspec.Meta(description="with - the greatest first")] = "id"


class NodeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway; times in milliseconds since 1970 UTC, 0 for never."""

    id: str
    organisation: str
    site: str  # its id; empty: it has none
    site_name: str
    online: bool
    first_seen: int
    last_seen: int
    newest: int  # ts of its newest record
    lag_ms: int | None  # how much older than now that is; null without a record
    records: int  # that the hub took of it
    version: str = ""  # by its last heartbeat, as what follows; empty: there was none
    backlog: int | None = None  # records that the hub does not have
    oldest: int | None = None  # ts of the oldest of them; null: there are none
    problems: tuple[str, ...] = ()


class Totals(msgspec.Struct, frozen=True):
    """How many nodes there are, and how they are."""

    nodes: int
    online: int
    problems: int  # whose last heartbeat told of any


class NodeDetail(NodeLine, frozen=True, kw_only=True):
    """One gateway, with the newest values of its devices."""

    devices: tuple[DeviceState, ...]


class Nodes:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/nodes", summary="Nodes, without their values",
                right=Role.VIEWER, handle=self._list, query=NodesQuery, body=Nothing, answer=Listed[NodeLine],
            ),
            Route(
                method="GET", path="/api/v1/nodes/{node}", summary="One node, with the newest values of its devices",
                right=Role.VIEWER, handle=self._one, query=Nothing, body=Nothing, answer=NodeDetail,
            ),
        )  # fmt: skip

    async def _list(self, call: Call[NodesQuery, Nothing]) -> Listed[NodeLine]:
        return await self.lines(call.caller, call.query, call.now)

    async def _one(self, call: Call[Nothing, Nothing]) -> NodeDetail:
        return await self.detail(call.path["node"], call.now)

    async def lines(self, caller: Caller, query: NodesQuery, now: int) -> Listed[NodeLine]:
        """Of those that `caller` may see. Raises ApiError for an `after` that is none."""
        where = _where(caller, query, now)
        key, way = KEYS[query.order.removeprefix("-")], "DESC" if query.order.startswith("-") else "ASC"
        if query.order.endswith("id"):
            if (named := marked(query.after, tuple[str, str])) is not None:
                where.add(f"node.id {'<' if way == 'DESC' else '>'} {{}}", named[1])
        elif (numbered := marked(query.after, tuple[Count, str])) is not None:
            where.add(f"({key}, node.id) {'<' if way == 'DESC' else '>'} ({{}}, {{}})", *numbered)
        limit = where.bound(query.limit + 1)
        rows = await self._sql.fetch(LINES.format(key=key, way=way, where=where, limit=limit), *where.parameters)
        return listed(rows, query.limit, lambda row: NodeLine(**_line(row, now)), lambda row: row[:2])

    async def totals(self, caller: Caller, now: int) -> Totals:
        """Of those that `caller` may see."""
        where = Where()
        where.granted(caller)
        query = TOTALS.format(online=where.bound(now - ONLINE_MS), where=where)
        ((nodes, online, problems),) = await self._sql.fetch(query, *where.parameters)
        return Totals(int(nodes), int(online), int(problems))

    async def detail(self, node: str, now: int) -> NodeDetail:
        """Raises ApiError where there is none."""
        where = Where()
        where.add("node.id = {}", node)
        query = LINES.format(key="node.id", way="ASC", where=where, limit=where.bound(1))
        rows = await self._sql.fetch(query, *where.parameters)
        if not rows:
            raise ApiError(*NOT_THERE)
        return NodeDetail(**_line(rows[0], now), devices=(await self.devices([node], now)).get(node, ()))

    async def timezone(self, node: str) -> str:
        """Of its site, by its IANA name; empty: it has none."""
        rows = await self._sql.fetch(TIMEZONE, node)
        return str(rows[0][0]) if rows else ""

    async def devices(self, nodes: list[str], now: int) -> dict[str, tuple[DeviceState, ...]]:
        """The newest values of the devices of each node that has any; without those from the future."""
        where = Where()
        where.among("series.node", nodes)
        newest: dict[str, list[tuple[Layout, Record]]] = defaultdict(list)
        query = NEWEST.format(where=where, until=where.bound(now + AHEAD_MS))
        for node, encoded, ts, flags, row in await self._sql.fetch(query, *where.parameters):
            layout = known_layout(encoded)
            newest[node].append((layout, Record(layout.id, ts, row, flags)))
        return {node: devices_of(found) for node, found in newest.items()}


Count = Annotated[int, msgspec.Meta(ge=-1, le=LAST)]


def _where(caller: Caller, query: NodesQuery, now: int) -> Where:
    where = Where()
    where.granted(caller)
    if query.q:
        pattern = f"%{like(query.q)}%"
        where.add(IS_LIKE, pattern, pattern)
    where.equal({"node.site": query.site, "site.organisation": query.organisation})
    if query.online is not None:
        where.add(f"node.last_seen {'>' if query.online else '<='} {{}}", now - ONLINE_MS)
    if query.problems is not None:
        where.add("heartbeat.problems > 0" if query.problems else "coalesce(heartbeat.problems, 0) = 0")
    return where


def like(text: str) -> str:
    r"""For LIKE with ESCAPE '\': as itself."""
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _line(row: Row, now: int) -> dict[str, Any]:
    _, node, organisation, site, site_name, first_seen, last_seen, newest, records, body = row
    beat = heartbeat_of(body)
    line: dict[str, Any] = {
        "id": node, "organisation": organisation, "site": site, "site_name": site_name,
        "online": now - last_seen < ONLINE_MS, "first_seen": first_seen, "last_seen": last_seen,
        "newest": newest, "lag_ms": now - newest if newest else None, "records": records,
    }  # fmt: skip
    if beat is None:
        return line
    oldest = beat.oldest if beat.backlog and beat.oldest else None
    return line | {"version": beat.version, "backlog": beat.backlog, "oldest": oldest, "problems": beat.problems}
