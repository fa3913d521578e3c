"""What all pages of the hub have in common: the frame with its navigation, who may see them, and what goes wrong."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic
from urllib.parse import quote

import jinja2
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.errors import StorageError
from sync.hub.web.api import Api, ApiError, Call, Nothing, Q, Route
from sync.hub.web.paging import After
from sync.hub.web.rights import Caller, Role

SIGN_IN = "/sign-in"
PARTS = "/part/"  # of pages, which a script fetches
# The menu's order, whatever part brings an entry; others follow.
ENTRIES = ("Fleet", "Alerts", "Sites", "Enrol", "Roll-outs", "Ingest", "People", "What people did", "API")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Q]):
    """`view` gives what its template shows as `view`; raises ApiError, StorageError. `nav`: its name in the menu, with
    what `count` says of it, as "3"; empty: nothing. `under`: the path of the menu's entry that it belongs to."""

    path: str
    template: str
    right: Role
    view: Callable[[Call[Q, Nothing]], Awaitable[Mapping[str, object]]]
    query: type[Q]
    nav: str = ""
    under: str = ""
    count: Callable[[Caller], Awaitable[str]] | None = None


class Shell:
    """Templates are in `templates/` and extend layout.html; they are escaped by default."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._menu: list[Page[Any]] = []
        self._templates = jinja2.Environment(loader=jinja2.PackageLoader("sync.hub"), autoescape=True)
        self._templates.filters["quoted"] = partial(quote, safe="")  # a name as one step of a path

    def add(self, app: web.Application, pages: Sequence[Page[Any]]) -> None:
        for page in pages:
            if page.nav:
                self._menu.append(page)
            app.router.add_get(page.path, self._handler(page))
        self._menu.sort(key=lambda page: ENTRIES.index(page.nav) if page.nav in ENTRIES else len(ENTRIES))

    def _handler(self, page: Page[Any]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def no_answer(call: Call[Any, Nothing]) -> None: ...

        route = Route(
            method="GET", path=page.path, summary="", right=page.right,
            handle=no_answer, query=page.query, body=Nothing,
        )  # fmt: skip

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                call = await self._api.call(request, route)
                view, counts = await page.view(call), await self._counts(request, call.caller)
                return self.response(page.template, call.caller, page, view, counts=counts)
            except ApiError as error:
                if error.status == 401 and not request.path.startswith(PARTS):  # a script would take it for its part
                    raise web.HTTPSeeOther(f"{SIGN_IN}?to={quote(request.path_qs)}") from error
                caller, view = await self._known(request), {"words": str(error)}
                response = self.response("error.html", caller, page, view, error.status)
                response.headers.update(error.headers)
                return response
            except StorageError as error:
                words = f"{self.store_fails(error).capitalize()}. The sites keep what they have; try again soon."
                return self.response("error.html", None, None, {"words": words}, 503)

        return answer

    @web.middleware
    async def not_there(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A wrong address is told in the frame, with a way on; under /api in JSON, by others."""
        try:
            return await handler(request)
        except web.HTTPNotFound:
            if request.path.startswith("/api/"):
                raise
            view = {"words": "There is nothing at this address: it may be mistyped, or what was here has gone."}
            return self.response("error.html", await self._known(request), None, view, 404)

    def store_fails(self, error: StorageError) -> str:
        """See `Api.store_fails`."""
        return self._api.store_fails(error)

    async def _known(self, request: web.Request) -> Caller | None:
        """Whoever sees an error goes on by the menu."""
        try:
            return await self._api.known(request)
        except (ApiError, StorageError):
            return None

    async def _counts(self, request: web.Request, caller: Caller) -> Mapping[str, str]:
        """By the path of the menu's entry; parts of pages have no menu."""
        counting = [] if request.path.startswith(PARTS) else [page for page in self._menu if page.count is not None]
        return {page.path: await page.count(caller) for page in counting if page.count is not None}

    def response(
        self, template: str, caller: Caller | None, here: Page[Any] | None, view: Mapping[str, object],
        status: int = 200, counts: Mapping[str, str] | None = None,
    ) -> web.Response:  # fmt: skip
        """A page as `caller` sees it; `here`: which page it is, None for one that is not in the menu."""
        menu = [
            {
                "path": page.path, "name": page.nav, "count": (counts or {}).get(page.path, ""),
                "current": "" if here is None else {here.path: "page", here.under: "true"}.get(page.path, ""),
            }
            for page in self._menu
            if caller is not None and caller.may_somewhere(page.right)
        ]  # fmt: skip
        text = self._templates.get_template(template).render(view=view, caller=caller, menu=menu)
        return web.Response(text=text, content_type="text/html", status=status, headers={"Cache-Control": "no-store"})


class NoQuery(Nothing, frozen=True, forbid_unknown_fields=False):
    """Of pages: a parameter too many does no harm."""


class ListShown(NoQuery, frozen=True):
    """Of pages that show a list, a piece at a time."""

    after: After = ""


def script_json(value: object) -> str:
    """For a `<script type="application/json">`: nothing in it can end the element."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")
