"""Where devices send their readings: POST /api/push/DEVICE, with the device's token instead of the page's password."""

import asyncio
import logging
from typing import Protocol

import msgspec
from aiohttp import web

from gateway.core.clock import SystemClock
from gateway.core.errors import CodecError, StorageError, TooLargeError
from gateway.core.pushed import PushAnswer
from gateway.core.ration import Ration

PREFIX = "/api/push/"
ROUTE = PREFIX + "{device}"
BODY_MAX = 8 * 1024 * 1024
BODY_S = 60.0
AT_ONCE = 2  # bodies in memory
RETRY_AFTER_S = 30

log = logging.getLogger(__name__)


class PushDoor(Protocol):
    """Who takes what devices send."""

    def knows(self, device: str) -> bool: ...
    def admits(self, device: str, token: str) -> bool:
        """Whether it is the device's token; takes as long for a device that is not there."""
        ...

    async def push(self, device: str, body: bytes, content_type: str) -> PushAnswer:
        """Take a body; on the disk when this returns. Raises CodecError, TooLargeError, StorageError."""
        ...


class OpenPaths:
    """The paths that do not ask for the page's password."""

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and (path == "/healthz" or path.startswith(PREFIX))


class Push:
    """The handler of one page."""

    def __init__(self, door: PushDoor) -> None:
        self._door = door
        self._bodies = asyncio.Semaphore(AT_ONCE)
        self._ration = Ration(SystemClock())

    async def post(self, request: web.Request) -> web.Response:
        """POST /api/push/DEVICE -> PushAnswer, when all of it is on the disk.

        400 nothing could be read, 401 not the device's token, 404 no such device, 413 too large,
        503 the disk does not take it: send it again later.
        """
        device = request.match_info["device"]
        if not self._door.admits(device, _token(request)):
            known = self._door.knows(device)
            return self._refused(device, 401 if known else 404, "not the device's token" if known else "no such device")
        try:
            async with self._bodies:
                async with asyncio.timeout(BODY_S):
                    body = await _body(request)
                answer = await self._door.push(device, body, request.headers.get("Content-Type", ""))
        except TooLargeError as error:
            return self._refused(device, 413, f"{error}; {error.hint}")
        except CodecError as error:
            return self._refused(device, 400, str(error))
        except TimeoutError:
            return self._refused(device, 408, f"the body did not come within {BODY_S:.0f} s")
        except StorageError as error:
            return self._refused(device, 503, str(error))
        nothing = answer.rejected and not (answer.accepted or answer.duplicate or answer.doubtful)
        if answer.rejected:
            self._log(device, answer.rejected[0].reason)
        status, told = 400 if nothing else 200, msgspec.json.encode(answer)
        return web.Response(body=told, status=status, content_type="application/json")

    def _refused(self, device: str, status: int, why: str) -> web.Response:
        self._log(device, why)
        headers = {503: {"Retry-After": str(RETRY_AFTER_S)}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
        return web.json_response({"error": why}, status=status, headers=headers)

    def _log(self, device: str, why: str) -> None:
        if (suppressed := self._ration.spend()) is not None:
            log.warning("push refused", extra={"device": device[:64], "why": why, "suppressed": suppressed})


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("X-Device-Token", "")


async def _body(request: web.Request) -> bytes:
    """The body, packed or not. Raises TooLargeError, CodecError."""
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > BODY_MAX:
                raise TooLargeError(f"more than {BODY_MAX} bytes", hint="send fewer records at a time")
    except web.RequestPayloadError as error:
        raise CodecError(f"the body cannot be read: {error}") from error
    return bytes(body)
