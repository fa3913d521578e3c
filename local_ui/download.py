"""Files that are made while they are sent."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from gateway.core.errors import HoldfastError
from local_ui.guard import HEADERS


async def download(
    request: web.Request, name: str, content_type: str, pieces: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    """Send `pieces` as the file `name`. What goes wrong before the first of them is raised."""
    disposition = {"Content-Type": content_type, "Content-Disposition": f'attachment; filename="{name}"'}
    response = web.StreamResponse(headers=HEADERS | disposition)
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(piece)
    except HoldfastError:
        if not response.prepared:
            raise
        if request.transport is not None:
            request.transport.abort()  # a file that was cut off must not look whole
    return response
