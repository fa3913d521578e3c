"""What people did, read back by administrators: the route and its page."""

from collections.abc import Sequence
from typing import Any

from gateway.core import wording
from sync.hub.people.acts import Act, Acts
from sync.hub.web.api import Call, Nothing, Route
from sync.hub.web.paging import Listed, Paged, itself, listed, number_before
from sync.hub.web.rights import Caller, Role
from sync.hub.web.shell import ListShown, Page

SHOWN = 100


class ActPages:
    """The newest first; to each those of the places that it administers."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/acts", summary="What people did, newest first", right=Role.ADMIN,
                handle=self._list, query=Paged, body=Nothing, answer=Listed[Act],
            ),
        )  # fmt: skip

    def pages(self) -> Sequence[Page[Any]]:
        view = Page(
            path="/acts", template="acts.html", right=Role.ADMIN, view=self._view, query=ListShown,
            nav="What people did",
        )  # fmt: skip
        return (view,)

    async def _list(self, call: Call[Paged, Nothing]) -> Listed[Act]:
        return await self._piece(call.caller, call.query.after, call.query.limit)

    async def _view(self, call: Call[ListShown, Nothing]) -> dict[str, object]:
        piece = await self._piece(call.caller, call.query.after, SHOWN)
        return {"acts": [_act_view(act) for act in piece.items], "next": piece.next}

    async def _piece(self, caller: Caller, after: str, limit: int) -> Listed[Act]:
        acts = await self._acts.listed(caller, before=number_before(after), limit=limit + 1)
        return listed(acts, limit, itself, lambda act: (act.id,))


def _act_view(act: Act) -> dict[str, object]:
    return {
        "at": wording.utc_text(act.at, "%Y-%m-%d %H:%M:%S"),
        "person": act.person,
        "address": act.address,
        "action": f"{act.action}: {act.object}",
        "place": act.site or act.organisation or "everywhere",
        "detail": act.detail,
    }
