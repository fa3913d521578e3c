"""The page /ingest: each batch that nodes sent, newest first, and what became of it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol, get_args
from urllib.parse import urlencode

import msgspec

from gateway.core import wording
from sync import wire
from sync.hub.reading.audit import AuditQuery, BatchLine
from sync.hub.web.api import Call, Nothing
from sync.hub.web.paging import After, Listed, Name
from sync.hub.web.rights import Caller, Role
from sync.hub.web.shell import NoQuery, Page

SHOWN = 100
TYPES = sorted(get_args(wire.BatchType))
Only = Literal["", "error", "duplicates", "rejected"]
ONLY: dict[Only, str] = {
    "": "all", "error": "turned away", "duplicates": "with duplicates", "rejected": "with rejected ones",
}  # fmt: skip


class IngestShown(NoQuery, frozen=True, kw_only=True):
    """`of`: a node's id; one that is not there has no batches, so nothing is told of it."""

    of: Annotated[Name, msgspec.Meta(description="a node's id")] = ""
    only: Only = ""
    type: Name = ""
    after: After = ""

    @property
    def audit(self) -> AuditQuery:
        given: dict[str, Any] = {self.only: True} if self.only else {}
        return AuditQuery(node=self.of.strip(), type=self.type, after=self.after, limit=SHOWN, **given)

    def address(self, after: str) -> str:
        given = {"of": self.of, "only": self.only, "type": self.type, "after": after}
        return f"?{urlencode({name: value for name, value in given.items() if value})}"


class Batches(Protocol):
    async def batches(self, caller: Caller, query: AuditQuery) -> Listed[BatchLine]:
        """See `sync.hub.reading.audit.Audits`."""
        ...


class IngestPages:
    """The page."""

    def __init__(self, audits: Batches) -> None:
        self._audits = audits

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(
                path="/ingest", template="ingest.html", right=Role.VIEWER, view=self._view, query=IngestShown,
                nav="Ingest",
            ),
        )  # fmt: skip

    async def _view(self, call: Call[IngestShown, Nothing]) -> dict[str, Any]:
        return ingest_view(call.query, await self._audits.batches(call.caller, call.query.audit))


def ingest_view(query: IngestShown, found: Listed[BatchLine]) -> dict[str, Any]:
    """Pure."""
    return {
        "query": query,
        "only": [{"value": value, "name": name, "here": value == query.only} for value, name in ONLY.items()],
        "types": [{"name": name, "here": name == query.type} for name in TYPES],
        "batches": [batch_view(batch) for batch in found.items],
        "next": query.address(found.next) if found.next else "",
        "first": query.address("") if query.after else "",
        "filtered": bool(query.of or query.only or query.type),
    }


def batch_view(batch: BatchLine) -> dict[str, Any]:
    return {
        "at": wording.utc_text(batch.at, "%Y-%m-%d %H:%M:%S"),
        "node": batch.node,
        "site": batch.site,
        "type": batch.type,
        "bytes": wording.bytes_text(batch.bytes),
        "accepted": f"{batch.accepted:,}",
        "duplicate": f"{batch.duplicate:,}" if batch.duplicate else "",
        "rejected": f"{batch.rejected:,}" if batch.rejected else "",
        "error": batch.error,
        "cursor": batch.cursor,
    }
