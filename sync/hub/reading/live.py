"""The newest values as they come, of one node or of a site, to whoever looks on."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.status import DeviceState
from sync.hub.store.contract import ONLINE_MS
from sync.hub.store.sql import Sql
from sync.hub.web.api import Call, Nothing, Route
from sync.hub.web.paging import Named
from sync.hub.web.rights import Role
from sync.hub.web.sse import Streams

OF_NODE = "SELECT id, last_seen, newest, records FROM node WHERE id = $1"
OF_SITE = "SELECT id, last_seen, newest, records FROM node WHERE site = $1 ORDER BY id"
MEDIA = "text/event-stream"


class SiteQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Named


class NodeNow(msgspec.Struct, frozen=True):
    """What is new of a node; of its devices those that are. Times in milliseconds since 1970 UTC."""

    id: str
    online: bool
    last_seen: int
    newest: int
    records: int
    devices: tuple[DeviceState, ...] = ()


class Now(msgspec.Struct, frozen=True):
    """One event; the first has all."""

    now: int
    nodes: list[NodeNow]


class NewestOf(Protocol):
    async def devices(self, nodes: list[str], now: int) -> dict[str, tuple[DeviceState, ...]]:
        """See `sync.hub.reading.nodes.Nodes`."""
        ...


class Live:
    """The routes."""

    def __init__(self, sql: Sql, nodes: NewestOf, streams: Streams, clock: Clock) -> None:
        self._sql = sql
        self._nodes = nodes
        self._streams = streams
        self._clock = clock

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/nodes/{node}/live", summary="The newest values of a node, as they come",
                right=Role.VIEWER, handle=self._of_node, query=Nothing, body=Nothing, answer=Now, media=MEDIA,
            ),
            Route(
                method="GET", path="/api/v1/live", summary="The newest values of a site, as they come",
                right=Role.VIEWER, handle=self._of_site, query=SiteQuery, body=Nothing, answer=Now, media=MEDIA,
            ),
        )  # fmt: skip

    async def _of_node(self, call: Call[Nothing, Nothing]) -> web.StreamResponse:
        return await self._streams.send(call, self._watch(OF_NODE, call.path["node"]).look)

    async def _of_site(self, call: Call[SiteQuery, Nothing]) -> web.StreamResponse:
        return await self._streams.send(call, self._watch(OF_SITE, call.query.site).look)

    def _watch(self, query: str, of: str) -> "Onlooker":
        return Onlooker(self._sql, self._nodes, self._clock, query, of)


class Onlooker:
    """With what it was told so far."""

    def __init__(self, sql: Sql, nodes: NewestOf, clock: Clock, query: str, of: str) -> None:
        self._sql = sql
        self._nodes = nodes
        self._clock = clock
        self._query = query
        self._of = of
        self._told: dict[str, NodeNow] = {}  # the devices all, but without their readings
        self._first = True

    async def look(self) -> Now | None:
        """See `sync.hub.web.sse.Look`."""
        now = self._clock.wall_ms()
        found = [
            NodeNow(node, now - last_seen < ONLINE_MS, last_seen, newest, records)
            for node, last_seen, newest, records in await self._sql.fetch(self._query, self._of)
        ]
        known = {node: told.records for node, told in self._told.items()}
        devices = await self._nodes.devices([node.id for node in found if known.get(node.id) != node.records], now)
        changes = []
        for node in found:
            told = self._told.get(node.id)
            before = {one.name: one.ts for one in told.devices} if told else {}
            fresh = tuple(one for one in devices.get(node.id, ()) if before.get(one.name) != one.ts)
            if told is None or fresh or node.online != told.online:
                changes.append(msgspec.structs.replace(node, devices=fresh))
            all_of_it = devices.get(node.id, told.devices if told else ())
            self._told[node.id] = msgspec.structs.replace(
                node, devices=tuple(msgspec.structs.replace(one, readings=()) for one in all_of_it)
            )
        is_first, self._first = self._first, False
        return Now(now, changes) if changes or is_first else None
