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
HELD_MAX = 4 * BODY_MAX  # bytes of all bodies that are coming in or waiting
SMALL = 64 * 1024  # a body of so few bytes comes in whatever the others hold
AT_ONCE = 2  # bodies that are read and stored; the records of one take far more memory than its bytes
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
        self._taking = asyncio.Semaphore(AT_ONCE)
        self._held = 0
        self._ration = Ration(SystemClock())

    async def post(self, request: web.Request) -> web.Response:
        """POST /api/push/DEVICE -> PushAnswer, when all of it is on the disk.

        400 nothing could be read, 401 not the device's token, 404 no such device, 413 too large,
        503 the disk does not take it, or others fill the memory: send it again later.
        """
        device = request.match_info["device"]
        if not self._door.admits(device, _token(request)):
            known = self._door.knows(device)
            return self._refused(device, 401 if known else 404, "not the device's token" if known else "no such device")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):  # and no slot is held: who stalls holds up nobody
                await self._receive(request, body)
            async with self._taking:
                answer = await self._door.push(device, bytes(body), request.headers.get("Content-Type", ""))
        except TooLargeError as error:
            return self._refused(device, 413, error.in_full)
        except CodecError as error:
            return self._refused(device, 400, str(error))
        except TimeoutError:
            return self._refused(device, 408, f"the body did not come within {BODY_S:.0f} s")
        except StorageError as error:
            return self._refused(device, 503, str(error))
        finally:
            self._held -= len(body)
        nothing = answer.rejected and not (answer.accepted or answer.duplicate or answer.doubtful)
        if answer.rejected:
            self._log(device, answer.rejected[0].reason)
        status, told = 400 if nothing else 200, msgspec.json.encode(answer)
        return web.Response(body=told, status=status, content_type="application/json")

    async def _receive(self, request: web.Request, body: bytearray) -> None:
        """Fill `body`, packed or not; what is in it counts as held. Raises TooLargeError, CodecError, StorageError."""
        try:
            async for chunk in request.content.iter_any():
                body += chunk
                self._held += len(chunk)
                if len(body) > BODY_MAX:
                    raise TooLargeError(f"more than {BODY_MAX} bytes", hint="send fewer records at a time")
                if len(body) > SMALL and self._held > HELD_MAX:
                    raise StorageError("too many large bodies at once", hint="send it again later")
        except (web.RequestPayloadError, ConnectionError) as error:  # the latter: the sender is gone
            raise CodecError(f"the body cannot be read: {error}") from error

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
