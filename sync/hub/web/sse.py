"""Server-sent events: an answer that goes on until the client, the server, or its time ends it."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from sync.hub.web.api import ApiError, Call, check_again

log = logging.getLogger(__name__)
Look = Callable[[], Awaitable[object | None]]
"""What is new since the last look; None for nothing. Raises StorageError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds, and how many streams one process has at once."""

    apart_s: float = 0.5  # between two looks at least
    look_s: float = 1.0  # and at most, though nobody rang: another process may have taken something
    heartbeat_s: float = 15.0
    check_s: float = 10.0  # then it is looked whether the caller still may
    patience_s: float = 10.0  # with who does not read
    life_s: float = 600.0  # then the browser comes again by itself
    streams_max: int = 500
    of_one_max: int = 50  # of them one person's


class Streams:
    """Those that are open. No stream has a queue: what a slow reader missed is in what it is told next."""

    def __init__(self, clock: Clock, pace: Pace | None = None) -> None:
        self._clock = clock
        self._pace = pace or Pace()
        self._bell = asyncio.Event()
        self._ended = asyncio.Event()
        self.open = 0
        self._of: Counter[str] = Counter()

    def ring(self) -> None:
        """There may be something new."""
        self._bell.set()
        self._bell = asyncio.Event()

    async def end(self, app: web.Application) -> None:
        """End all, so that the process can stop at once: for `on_shutdown`."""
        self._ended.set()
        self.ring()

    async def send(self, call: Call[Any, Any], look: Look) -> web.StreamResponse:
        """What `look` finds, again and again. Raises ApiError, StorageError."""
        if self.open >= self._pace.streams_max:
            raise ApiError(503, "too many streams are open here; try again later")
        if self._of[call.caller.name] >= self._pace.of_one_max:  # which leaves room for the others
            raise ApiError(429, f"you have {self._pace.of_one_max} streams open here", retry_after_s=60)
        self.open += 1
        self._of[call.caller.name] += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        try:
            bell, found = self._bell, await look()
            await response.prepare(call.request)
            await self._send(call, response, bell, found, look)
        except TimeoutError:  # it does not read, and would keep what we write in memory
            if call.request.transport is not None:
                call.request.transport.abort()
        except ConnectionError:  # it has gone
            pass
        finally:
            self.open -= 1
            self._of[call.caller.name] -= 1
            self._of += Counter()  # without those that have none
        return response

    async def _send(
        self, call: Call[Any, Any], response: web.StreamResponse, bell: asyncio.Event, found: object | None, look: Look
    ) -> None:  # fmt: skip
        spoke_s = checked_s = self._clock.monotonic_s()
        until_s = spoke_s + self._pace.life_s
        while not self._ended.is_set() and (now_s := self._clock.monotonic_s()) < until_s:
            if found is not None or now_s - spoke_s >= self._pace.heartbeat_s:
                told = b": still here\n\n" if found is None else b"data: " + msgspec.json.encode(found) + b"\n\n"
                await self._write(response, told)
                spoke_s = now_s
            await _either(self._ended, self._pace.apart_s)
            await _either(bell, self._pace.look_s - self._pace.apart_s)
            bell = self._bell
            try:
                if self._clock.monotonic_s() - checked_s >= self._pace.check_s:
                    checked_s = self._clock.monotonic_s()
                    if not await _may_still(call):
                        break
                found = await look()
            except StorageError as error:  # it may be back by the next look
                found = None
                log.warning("live values not read", extra={"why": str(error)})
        await self._write(response, b": ended by the hub; come again\n\n")

    async def _write(self, response: web.StreamResponse, content: bytes) -> None:
        async with asyncio.timeout(self._pace.patience_s):
            await response.write(content)


async def _may_still(call: Call[Any, Any]) -> bool:
    """Whether it would be answered if it came now. Raises StorageError."""
    try:
        await check_again(call)
    except ApiError:
        return False
    return True


async def _either(event: asyncio.Event, most_s: float) -> None:
    """Until the event is set, or so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await event.wait()
