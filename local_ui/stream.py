"""Server-sent events: what changed, as the page shows it, a moment after it was read."""

import asyncio
import contextlib

import msgspec
from aiohttp import web

from local_ui.guard import HEADERS
from local_ui.present import site_view
from local_ui.site import Site

KEEP_ALIVE_S = 15


class Streams:
    """The streams that are open."""

    def __init__(self) -> None:
        self.sending: set[asyncio.Task[None]] = set()


STREAMS = web.AppKey("streams", Streams)


async def get_stream(request: web.Request, site: Site) -> web.StreamResponse:
    """GET /api/v1/stream -> events; each is a view with the devices that changed, the first with all."""
    response = web.StreamResponse(headers=HEADERS | {"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    sending = asyncio.ensure_future(_send(response, site))
    request.app[STREAMS].sending.add(sending)
    try:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await sending
    finally:
        sending.cancel()
        request.app[STREAMS].sending.discard(sending)
    return response


async def _send(response: web.StreamResponse, site: Site) -> None:
    changes = site.changes()
    upcoming = asyncio.ensure_future(anext(changes))
    try:
        while True:
            done, _ = await asyncio.wait([upcoming], timeout=KEEP_ALIVE_S)
            if not done:
                await response.write(b": still here\n\n")
                continue
            await response.write(b"data: " + msgspec.json.encode(site_view(upcoming.result())) + b"\n\n")
            upcoming = asyncio.ensure_future(anext(changes))
    except StopAsyncIteration:
        return
    finally:
        upcoming.cancel()


async def end_streams(app: web.Application) -> None:
    """End every open stream, so that the process can stop at once."""
    for stream in list(app[STREAMS].sending):
        stream.cancel()
