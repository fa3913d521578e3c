"""The bodies that are coming in: the hub turns senders away before its memory is full, and says when to come again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from gateway.core.errors import CodecError, TooLargeError
from sync import wire
from sync.hub.intake.answering import plain_header
from sync.hub.intake.bodies import unpacked
from sync.hub.intake.door import Refused

SMALL_AT_ONCE = 8  # bodies that are unpacked and stored; the records of one take far more memory than its bytes
LARGE_AT_ONCE = 2  # they have turns of their own: the present of all does not wait for somebody's past
STALL_S = 60.0  # between two pieces of a body


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much may come in at once."""

    bytes: int = 64 * 1024 * 1024  # of all bodies that are coming in or waiting for their turn
    small: int = 256 * 1024  # bodies of so many bytes, the present of each node, may take as much again
    turn_s: float = 20.0  # longer no body waits: its sender would give up, and send it again


ROOM = Room()


class Receiving:
    """Those of all requests together."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0
        self._small = asyncio.Semaphore(SMALL_AT_ONCE)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    @asynccontextmanager
    async def body(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body, unpacked; its turn lasts as long as the block. Raises Refused, 429 for want of room."""
        encoding = plain_header(request, "Content-Encoding").lower()
        body = bytearray()
        try:
            await self._receive(request, body)
            small = len(body) <= self._room.small and not encoding  # nobody knows what a packed one will take
            async with _turn(self._small if small else self._large, self._room.turn_s):
                yield await asyncio.to_thread(_unpacked, bytes(body), encoding) if encoding else bytes(body)
        finally:
            self._held -= len(body)

    async def _receive(self, request: web.Request, body: bytearray) -> None:
        """Fill `body`; what is in it counts as held."""
        self._check(request.content_length or 0, request.content_length or 0)
        try:
            while True:
                async with asyncio.timeout(STALL_S):
                    chunk = await request.content.readany()
                if not chunk:
                    return
                body += chunk
                self._held += len(chunk)
                self._check(len(body), 0)
        except TimeoutError as error:
            raise Refused(408, f"nothing more of the body came within {STALL_S:.0f} s") from error
        except (web.RequestPayloadError, ConnectionError) as error:  # the latter: the sender is gone
            raise Refused(400, f"the body cannot be read: {error}") from error

    def _check(self, size: int, more: int) -> None:
        """Whether a body of `size` may come in, of which `more` is not held yet."""
        if size > wire.BODY_MAX:
            raise Refused(413, f"a body of more than {wire.BODY_MAX} bytes")
        if self._held + more > (self._room.bytes if size > self._room.small else 2 * self._room.bytes):
            raise Refused(429, "too much is coming in at once")


@asynccontextmanager
async def _turn(turns: asyncio.Semaphore, most_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(most_s) as patience, turns:
            patience.reschedule(None)
            yield
    except TimeoutError as error:
        if not patience.expired():
            raise
        raise Refused(429, "too many batches are waiting to be stored") from error


def _unpacked(body: bytes, encoding: str) -> bytes:
    try:
        return unpacked(body, encoding)
    except TooLargeError as error:
        raise Refused(413, str(error)) from error
    except CodecError as error:
        raise Refused(400, str(error)) from error
