"""What every answer of a page passes: the password, and the headers that keep other pages out.

The hub is handed these too, by `gateway/app.py`.
"""

import socket
from collections.abc import Container
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.core import credential

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send forms as from nowhere: Origin: null
}


@web.middleware
async def headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:  # aiohttp's own answers, as for a page that is not there
        error.headers.update(HEADERS)
        raise
    if not response.prepared:
        response.headers.update(HEADERS)
    return response


def check_own(request: web.Request, content_type: str = "application/json") -> None:
    """Raises PermissionError for what a page of another site can make a browser send.

    Only a page of our own may send JSON, or bytes; and where the browser says which page it was, it must be ours.
    """
    if request.content_type != content_type:
        raise PermissionError(f"expected Content-Type: {content_type}")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
        raise PermissionError("another site's page asked for this")


def sign_in(password_sha256: str | None, open_paths: Container[str]) -> Middleware:
    """Asks for the password by HTTP Basic, any user name goes; `open_paths` need none, and None asks nobody.

    Who comes by a Unix socket was let in by the socket's own rights.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        password = credential.basic_password(request.headers.get("Authorization", ""))
        is_open = password_sha256 is None or request.path in open_paths or _is_local(request)
        if is_open or credential.matches(password, password_sha256):
            return await handler(request)
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="Holdfast"'}, text="sign in")

    return check


def _is_local(request: web.Request) -> bool:
    connection = request.get_extra_info("socket")
    return connection is not None and connection.family == socket.AF_UNIX
