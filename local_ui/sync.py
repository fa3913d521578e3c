"""The way to the hub: its page, its JSON API, and what somebody can have done about it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Annotated, Protocol

import jinja2
import msgspec
from aiohttp import web

from gateway.core.errors import CodecError
from gateway.core.status import RefusedLine
from local_ui import guard
from local_ui.download import download
from local_ui.site import Site
from local_ui.syncview import sync_view

SHOWN_MOST = 100
RECEIPT_MAX = 16 * 1024 * 1024
BYTES = "application/octet-stream"
NO_HUB = "this site has no hub"


class SyncDoor(Protocol):
    """What the appliance can tell and do of its way to the hub. All raise StorageError."""

    async def refused(self, limit: int) -> list[RefusedLine]:
        """What the hub refuses for good, the newest first."""
        ...

    def all_refused(self) -> AsyncGenerator[RefusedLine, None]:
        """All of it, the newest first."""
        ...

    async def send_again(self, ids: Sequence[int] | None) -> None:
        """Have these, or all (None), sent once more."""
        ...

    async def compare(self) -> None:
        """Have both ends compared soon."""
        ...

    def carry_out(self) -> AsyncGenerator[bytes, None]:
        """All that the hub lacks, as a signed file, piece by piece."""
        ...

    async def take_receipt(self, receipt: bytes) -> str:
        """Send no more what the hub has by a carried file; a sentence that says how much. Raises CodecError."""
        ...


class SendAgain(msgspec.Struct, forbid_unknown_fields=True):
    """What POST /api/v1/sync/quarantine/resend takes."""

    ids: Annotated[list[int], msgspec.Meta(max_length=10_000)] | None


class SyncPages:
    """`door` is None where the site has no hub."""

    def __init__(self, site: Site, door: SyncDoor | None, pages: jinja2.Environment) -> None:
        self._site = site
        self._door = door
        self._pages = pages
        self._carrying = asyncio.Lock()  # it is much work, and needs a thread

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sync", self.get_page),
            web.get("/part/sync", self.get_part),
            web.get("/api/v1/sync", self.get_sync),
            web.post("/api/v1/sync/compare", self.post_compare),
            web.get("/api/v1/sync/quarantine", self.get_quarantine),
            web.post("/api/v1/sync/quarantine/resend", self.post_resend),
            web.get("/api/v1/sync/carry", self.get_carry),
            web.post("/api/v1/sync/receipt", self.post_receipt),
        ]

    async def get_page(self, request: web.Request) -> web.Response:
        """GET /sync -> how far the hub is, and what keeps it."""
        return await self._page("sync.html")

    async def get_part(self, request: web.Request) -> web.Response:
        """GET /part/sync -> the part of that page that changes."""
        return await self._page("_sync.html")

    async def _page(self, template: str) -> web.Response:
        state = self._site.state()
        refused = await self._door.refused(SHOWN_MOST) if self._door and state.sync.quarantined else []
        view = sync_view(state, refused, self._site.zone)
        return web.Response(text=self._pages.get_template(template).render(view=view), content_type="text/html")

    async def get_sync(self, request: web.Request) -> web.Response:
        """GET /api/v1/sync -> SyncState."""
        return _json(self._site.state().sync)

    async def get_quarantine(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v1/sync/quarantine -> a file of RefusedLines, NDJSON, the newest first."""
        if self._door is None:
            return _error(404, NO_HUB)
        lines = (msgspec.json.encode(line) + b"\n" async for line in self._door.all_refused())
        return await download(request, "quarantine.ndjson", "application/x-ndjson", lines)

    async def get_carry(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v1/sync/carry -> all that the hub lacks, as one signed file for `holdfast hub import`."""
        if self._door is None:
            return _error(404, NO_HUB)
        if self._carrying.locked():
            return _error(503, "somebody downloads it already; try again when that has ended")
        async with self._carrying:
            return await download(request, "unsent.carry", BYTES, self._door.carry_out())

    async def post_receipt(self, request: web.Request) -> web.Response:
        """POST /api/v1/sync/receipt, the file as it is -> {"told": sentence}: what the hub has of what was carried."""
        try:
            guard.check_own(request, BYTES)
            if self._door is None:
                return _error(404, NO_HUB)
            body = await request.clone(client_max_size=RECEIPT_MAX).read()
            return web.json_response({"told": await self._door.take_receipt(body)})
        except PermissionError as error:
            return _error(403, str(error))
        except CodecError as error:
            return _error(400, error.in_full)

    async def post_resend(self, request: web.Request) -> web.Response:
        """POST /api/v1/sync/quarantine/resend {"ids": [ID...] or null} -> {}; null: all."""
        return await self._do(request, self._send_again)

    async def post_compare(self, request: web.Request) -> web.Response:
        """POST /api/v1/sync/compare {} -> {}: what both ends hold is compared soon."""
        return await self._do(request, lambda door, body: door.compare())

    async def _send_again(self, door: SyncDoor, body: bytes) -> None:
        await door.send_again(msgspec.json.decode(body, type=SendAgain).ids)

    async def _do(self, request: web.Request, what: Callable[[SyncDoor, bytes], Awaitable[None]]) -> web.Response:
        try:
            guard.check_own(request)
            if self._door is None:
                return _error(404, NO_HUB)
            await what(self._door, await request.read())
        except PermissionError as error:
            return _error(403, str(error))
        except (msgspec.ValidationError, msgspec.DecodeError):
            return _error(400, 'expected {"ids": at most 10,000 numbers of entries, or null for all}')
        return web.json_response({})


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
