"""Events read back: what happened on the sites."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from sync.hub.store.sql import Sql
from sync.hub.web.api import Call, Nothing, Route
from sync.hub.web.conditions import Where
from sync.hub.web.paging import Listed, Ms, Name, Number, Paged, listed, marked
from sync.hub.web.rights import Role

EVENTS = """SELECT event.ts, event.node, event.epoch, event.seq, coalesce(site.id, ''), event.kind, event.device,
        event.detail
    FROM event JOIN node ON node.id = event.node LEFT JOIN site ON site.id = node.site
    WHERE {where} ORDER BY event.ts {way}, event.node {way}, event.epoch {way}, event.seq {way} LIMIT {limit}"""
BEHIND = "(event.ts, event.node, event.epoch, event.seq) {sign} ({{}}, {{}}, {{}}, {{}})"
Kinds = Annotated[tuple[Name, ...], msgspec.Meta(max_length=50)]


class EventsQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: Name = ""
    site: Name = ""
    kind: Kinds = ()
    device: Name = ""
    since: Annotated[Ms | None, msgspec.Meta(description="without: from the first")] = None
    until: Annotated[Ms | None, msgspec.Meta(description="without: to the last")] = None
    order: Literal["newest", "oldest"] = "newest"


class EventLine(msgspec.Struct, frozen=True):
    """Something that happened at `ts`, in ms; `seq` in the order of one of the node's buffers, its `epoch`."""

    ts: int
    node: str
    epoch: str
    seq: int
    site: str
    kind: str
    device: str
    detail: str


class Events:
    """The route."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/events", summary="What happened on the sites, by time",
                right=Role.VIEWER, handle=self._list, query=EventsQuery, body=Nothing, answer=Listed[EventLine],
            ),
        )  # fmt: skip

    async def _list(self, call: Call[EventsQuery, Nothing]) -> Listed[EventLine]:
        query, way, sign = call.query, "ASC", ">"
        if query.order == "newest":
            way, sign = "DESC", "<"
        where = Where()
        where.granted(call.caller)
        where.between("event.ts", query.since, query.until)
        where.equal({"event.node": query.node, "node.site": query.site, "event.device": query.device})
        if query.kind:
            where.among("event.kind", query.kind)
        if (last := marked(query.after, tuple[Number, str, str, Number])) is not None:
            where.add(BEHIND.format(sign=sign), *last)
        statement = EVENTS.format(where=where, way=way, limit=where.bound(query.limit + 1))
        rows = await self._sql.fetch(statement, *where.parameters)
        return listed(rows, query.limit, lambda row: EventLine(*row), lambda row: row[:4])
