"""The way to the hub that all streams share: what is sent, what is heard, and whether the hub is reached."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any

import msgspec

from gateway.core.clock import Clock
from gateway.core.errors import PushError
from gateway.core.span import Span
from sync.edge.backoff import Backoff
from sync.edge.transport import Hear, HubBusy, HubRefused, Transport
from sync.wire import Answer, BatchType, Cursor

log = logging.getLogger(__name__)


class Link:
    """One transport; several streams push through it, each with a `Backoff` of its own."""

    def __init__(self, epoch: Callable[[], str], transport: Transport, clock: Clock, random: Random) -> None:
        """`epoch`: the buffer's, as it is now."""
        self.transport = transport
        self.connected = False
        self.acknowledged_at = 0  # wall time
        self.heard_s = -1e9  # monotonic, when the hub acknowledged something last
        self.error = ""
        self.random = random
        self._epoch = epoch
        self._clock = clock
        self._hearers: list[Hear] = []

    def hear(self, hearer: Callable[[Answer], Awaitable[None]]) -> None:
        """Have every answer handed to `hearer`, those that the hub gives by itself too."""
        self._hearers.append(hearer)

    async def run(self) -> None:
        """Hear what the hub says by itself. Run until cancelled."""
        await self.transport.run(self._heard)

    async def push(self, batch_type: BatchType, span: Span, batch: msgspec.Struct) -> Answer:
        """Bring one batch to the hub. Raises PushError."""
        cursor = Cursor(self._epoch(), span.lo, span.hi)
        answer = await self.transport.push(batch_type, cursor, msgspec.msgpack.encode(batch))
        await self._heard(answer)
        return answer

    async def _heard(self, answer: Answer) -> None:
        for hearer in self._hearers:
            await hearer(answer)

    async def attempt(self, backoff: Backoff, push: Coroutine[Any, Any, object]) -> bool:
        """Whether `push` went through; if not, the pause that is due has been kept."""
        try:
            await push
        except PushError as error:
            await self.back_off(backoff, error)
            return False
        self.succeeded(backoff)
        return True

    def succeeded(self, backoff: Backoff) -> None:
        backoff.succeeded()
        if not self.connected:
            log.info("hub reached", extra={"hub": self.transport.name})
        self.connected, self.error = True, ""
        self.acknowledged_at = self._clock.wall_ms()
        self.heard_s = self._clock.monotonic_s()

    async def back_off(self, backoff: Backoff, error: PushError) -> None:
        why = f"{error}; {error.hint}" if error.hint else str(error)
        if self.connected or not self.error:
            log.warning("hub not reached", extra={"hub": self.transport.name, "why": why})
        self.connected, self.error = False, why
        at_least_s = error.retry_after_s if isinstance(error, HubBusy) else 0
        await asyncio.sleep(backoff.failed(refused=isinstance(error, HubRefused), at_least_s=at_least_s))
