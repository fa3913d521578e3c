"""Devices read back: what each node's layouts say of them."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from gateway.core.model import Kind, Layout
from sync.hub.store.contract import AHEAD_MS
from sync.hub.store.layouts import known_layout
from sync.hub.store.sql import Row, Sql
from sync.hub.web.api import Call, Nothing, Route
from sync.hub.web.conditions import Where
from sync.hub.web.paging import Listed, Name, Paged, mark, marked
from sync.hub.web.rights import Caller, Role

NODES = """SELECT node.id FROM node LEFT JOIN site ON site.id = node.site
    WHERE {where} ORDER BY node.id LIMIT {limit}"""
SERIES = """SELECT series.node, coalesce(site.id, ''), series.encoded,
        coalesce(holdfast_newest(series.id, {until}), 0)
    FROM series JOIN node ON node.id = series.node LEFT JOIN site ON site.id = node.site
    WHERE {where} ORDER BY series.node"""
NODES_AT_ONCE = 200


class DevicesQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: Name = ""
    site: Name = ""


class PointLine(msgspec.Struct, frozen=True):
    """One quantity of a device."""

    key: str
    unit: str
    kind: Kind
    quantity: str
    group: str  # the poll group that it was last read in
    names: dict[str, str]  # of an enum's numbers, or of a bitfield's bits


class DeviceLine(msgspec.Struct, frozen=True):
    """One device; `newest`: ts of its newest record that is not from the future, in ms, 0 without one.

    What it has now comes before what it had.
    """

    node: str
    site: str
    name: str
    profile: str
    role: str
    newest: int
    points: tuple[PointLine, ...]


class Devices:
    """The route."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/devices", summary="Devices with their points, by node and name",
                right=Role.VIEWER, handle=self._list, query=DevicesQuery, body=Nothing, answer=Listed[DeviceLine],
            ),
        )  # fmt: skip

    async def _list(self, call: Call[DevicesQuery, Nothing]) -> Listed[DeviceLine]:
        return await self.of(call.caller, call.query, call.now)

    async def of(self, caller: Caller, query: DevicesQuery, now: int) -> Listed[DeviceLine]:
        """Of the nodes that `caller` may see. Raises ApiError for an `after` that is none, StorageError."""
        last = marked(query.after, tuple[str, str]) or ("", "")
        found: list[DeviceLine] = []  # nodes in the database's order, which may not be ours
        at, more = last[0], True
        while more and len(found) <= query.limit:
            where = Where()
            where.granted(caller)
            where.add("EXISTS (SELECT 1 FROM series WHERE series.node = node.id)")
            where.add("node.id >= {}" if at == last[0] else "node.id > {}", at)
            where.equal({"node.id": query.node, "node.site": query.site})
            statement = NODES.format(where=where, limit=where.bound(NODES_AT_ONCE))
            nodes = [row[0] for row in await self._sql.fetch(statement, *where.parameters)]
            found += [one for one in await self._of(nodes, now) if one.node != last[0] or one.name > last[1]]
            more = len(nodes) == NODES_AT_ONCE
            at = nodes[-1] if nodes else at
        here = found[: query.limit]
        return Listed(here, mark(here[-1].node, here[-1].name) if len(found) > query.limit else "")

    async def _of(self, nodes: list[str], now: int) -> list[DeviceLine]:
        where = Where()
        where.among("series.node", nodes)
        rows = await self._sql.fetch(SERIES.format(where=where, until=where.bound(now + AHEAD_MS)), *where.parameters)
        return [line for _, group in groupby(rows, key=lambda row: row[0]) for line in _lines(group)]


def _lines(rows: Iterable[Row]) -> Iterable[DeviceLine]:
    """Of one node, by name."""
    layouts: dict[str, list[tuple[int, Layout]]] = {}
    node = site = ""
    for node, site, encoded, newest in rows:  # noqa: B007 - they are the same in all rows
        layout = known_layout(encoded)
        layouts.setdefault(layout.device, []).append((newest, layout))
    for name, found in sorted(layouts.items()):
        found.sort(key=lambda one: -one[0])
        points: dict[str, PointLine] = {}
        for _, layout in found:
            for p in layout.points:
                points.setdefault(p.key, PointLine(p.key, p.unit, p.kind, p.quantity, layout.group, p.names))
        newest, layout = found[0]
        yield DeviceLine(node, site, name, layout.profile, layout.role, newest, tuple(points.values()))
