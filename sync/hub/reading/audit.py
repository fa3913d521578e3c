"""The audit read back: each batch that came, and each act of a person."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from sync.hub.people.acts import Act, Acts
from sync.hub.store.sql import Sql
from sync.hub.web.api import ApiError, Call, Nothing, Route
from sync.hub.web.conditions import Where
from sync.hub.web.paging import Listed, Ms, Name, Number, Paged, listed, marked, number_before
from sync.hub.web.rights import Caller, Role

BATCHES = """SELECT audit.id, audit.at, audit.node, coalesce(site.id, ''), audit.type, audit.cursor, audit.bytes,
        audit.accepted, audit.duplicate, audit.rejected, audit.error
    FROM audit LEFT JOIN node ON node.id = audit.node LEFT JOIN site ON site.id = node.site
    WHERE {where} ORDER BY audit.at DESC, audit.id DESC LIMIT {limit}"""


class AuditQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Annotated[
        Literal["batches", "acts"],
        msgspec.Meta(description="what nodes sent, or what people did: then only `after` and `limit` are of use"),
    ] = "batches"
    node: Name = ""
    site: Name = ""
    type: Name = ""
    error: Annotated[bool | None, msgspec.Meta(description="whether it was turned away")] = None
    duplicates: Annotated[bool | None, msgspec.Meta(description="whether some of it was here already")] = None
    rejected: Annotated[bool | None, msgspec.Meta(description="whether some of it can never be taken")] = None
    since: Annotated[Ms | None, msgspec.Meta(description="without: from the first")] = None
    until: Annotated[Ms | None, msgspec.Meta(description="without: to the last")] = None


class BatchLine(msgspec.Struct, frozen=True, tag_field="kind", tag="batches"):
    """One batch that came with a good secret at `at`, in ms; `error`: why nothing of it was taken."""

    id: int
    at: int
    node: str
    site: str
    type: str
    cursor: str
    bytes: int
    accepted: int
    duplicate: int
    rejected: int
    error: str


class ActLine(Act, frozen=True, tag_field="kind", tag="acts"):
    """What a person did; see `Act`."""


class Audits:
    """The route."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._acts = Acts(sql)

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/audit", summary="What nodes sent, or what people did, newest first",
                right=Role.VIEWER, handle=self._list, query=AuditQuery, body=Nothing,
                answer=Listed[BatchLine | ActLine],
            ),
        )  # fmt: skip

    async def _list(self, call: Call[AuditQuery, Nothing]) -> Listed[BatchLine] | Listed[ActLine]:
        return await (self._of_acts(call) if call.query.kind == "acts" else self.batches(call.caller, call.query))

    async def _of_acts(self, call: Call[AuditQuery, Nothing]) -> Listed[ActLine]:
        """Those where the caller is an administrator."""
        query = call.query
        if query != AuditQuery(kind="acts", after=query.after, limit=query.limit):
            raise ApiError(400, "parameters: acts are listed whole, newest first")
        if not call.caller.may_somewhere(Role.ADMIN):
            raise ApiError(403, f"that wants the role {Role.ADMIN}")
        acts = await self._acts.listed(call.caller, before=number_before(query.after), limit=query.limit + 1)
        return listed(acts, query.limit, lambda act: ActLine(*msgspec.structs.astuple(act)), lambda act: (act.id,))

    async def batches(self, caller: Caller, query: AuditQuery) -> Listed[BatchLine]:
        """The newest first; of nodes that `caller` may see. Raises ApiError for a wrong `after`, StorageError."""
        where = Where()
        where.granted(caller)
        where.between("audit.at", query.since, query.until)
        where.equal({"audit.node": query.node, "node.site": query.site, "audit.type": query.type})
        if query.error is not None:
            where.add(f"audit.error {'<>' if query.error else '='} ''")
        for column, some in (("audit.duplicate", query.duplicates), ("audit.rejected", query.rejected)):
            if some is not None:
                where.add(f"{column} {'>' if some else '='} 0")
        if (last := marked(query.after, tuple[Number, Number])) is not None:
            where.add("(audit.at, audit.id) < ({}, {})", *last)
        statement = BATCHES.format(where=where, limit=where.bound(query.limit + 1))
        rows = await self._sql.fetch(statement, *where.parameters)
        return listed(rows, query.limit, lambda row: BatchLine(*row), lambda row: (row[1], row[0]))
