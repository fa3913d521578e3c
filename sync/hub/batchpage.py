"""What came in: each batch of the nodes that the caller may see, and what became of it."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from gateway.core import wording
from sync.hub.api import Call, Nothing
from sync.hub.paging import After, Listed
from sync.hub.readingaudit import AuditQuery, BatchLine
from sync.hub.rights import Caller, Role
from sync.hub.shell import NoQuery, Page

SHOWN = 100
CHOICES = {"": "all", "error": "turned away", "rejected": "with refused records", "duplicates": "with known records"}


class Shown(NoQuery, frozen=True):
    only: Literal["", "error", "rejected", "duplicates"] = ""
    after: After = ""


class Batches(Protocol):
    async def batches(self, caller: Caller, query: AuditQuery) -> Listed[BatchLine]:
        """See `sync.hub.readingaudit.Audits`."""
        ...


class BatchPages:
    """/batches, and those of one node."""

    def __init__(self, audits: Batches) -> None:
        self._audits = audits

    def pages(self) -> Sequence[Page[Any]]:
        template, right = "batches.html", Role.VIEWER
        return (
            Page(path="/batches", template=template, right=right, view=self._view, query=Shown, nav="Ingest"),
            Page(path="/nodes/{node}/batches", template=template, right=right, view=self._view, query=Shown),
        )

    async def _view(self, call: Call[Shown, Nothing]) -> dict[str, Any]:
        node, only = call.path.get("node", ""), call.query.only
        query = AuditQuery(
            node=node, after=call.query.after, limit=SHOWN, error=only == "error" or None,
            rejected=only == "rejected" or None, duplicates=only == "duplicates" or None,
        )  # fmt: skip
        found = await self._audits.batches(call.caller, query)
        return {
            "node": node,
            "only": only,
            "choices": [{"value": value, "name": name, "here": value == only} for value, name in CHOICES.items()],
            "batches": [batch_view(one) for one in found.items],
            "next": found.next,
        }


def batch_view(one: BatchLine) -> dict[str, str]:
    """Pure."""
    return {
        "at": wording.utc_text(one.at, "%Y-%m-%d %H:%M:%S"),
        "node": one.node,
        "type": one.type,
        "accepted": f"{one.accepted:,}",
        "duplicate": f"{one.duplicate:,}",
        "rejected": f"{one.rejected:,}",
        "bytes": wording.bytes_text(one.bytes),
        "cursor": one.cursor,
        "error": one.error,
    }
