"""The way to the hub that all streams share: what is sent, what is heard, and whether the hub is reached."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any

import msgspec

from gateway.core.clock import Clock
from gateway.core.errors import PushError
from gateway.core.span import Span
from sync.broker.patience import USUAL, Patience
from sync.edge.backoff import Backoff
from sync.edge.metering import REQUEST_BYTES, LineClosed, Meter
from sync.edge.transport import (
    BatchRefused,
    BatchTooLarge,
    Hear,
    HubBusy,
    HubRefused,
    LaneFull,
    LayoutsWanted,
    Transport,
)
from sync.wire import Answer, BatchType, Cursor, Records

log = logging.getLogger(__name__)

CLOSED_S = 60.0  # how often it is looked whether a metered line has bytes again


class Link:
    """One transport; several streams push through it, each with a `Backoff` of its own."""

    def __init__(
        self, epoch: Callable[[], str], transport: Transport, clock: Clock, random: Random, meter: Meter | None = None,
        patience: Patience = USUAL,
    ) -> None:  # fmt: skip
        """`epoch`: the buffer's, as it is now."""
        self.transport = transport
        self.connected = False
        self.acknowledged_at = 0  # wall time
        self.heard_s = -1e9  # monotonic, when the hub acknowledged something last
        self.took_s = 0.0  # the last batch that went through
        self.error = ""
        self.random = random
        self._patience = patience
        self.meter = meter or Meter(lambda: None)
        self._epoch = epoch
        self._clock = clock
        self._hearers: list[Hear] = []
        self._away = False  # the last attempt met no hub
        self._probing = False  # one stream waits for its next attempt; the others wait for it
        self._reached = asyncio.Event()
        self._not_before_s = -1e9  # monotonic; the hub asked for it

    def backoff(self) -> Backoff:
        """One more stream's."""
        return Backoff(self.random, self._patience)

    def hear(self, hearer: Callable[[Answer], Awaitable[None]]) -> None:
        """Have every answer handed to `hearer`, those that the hub gives by itself too."""
        self._hearers.append(hearer)

    async def run(self) -> None:
        """Hear what the hub says by itself. Run until cancelled."""
        await self.transport.run(self._told)

    def wake(self) -> None:
        """The network may be back: whoever waits for the hub tries at once."""
        self._reached.set()

    async def push(
        self, batch_type: BatchType, span: Span, batch: msgspec.Struct, *, epoch: str = "", live: bool = False
    ) -> Answer:
        """Bring one batch to the hub; `epoch`: where the span is not of the present one. Raises PushError.

        Whoever hears the answer may raise StorageError: then it was heard in vain, and the batch is to come again.
        """
        epoch = epoch or self._epoch()
        if (pause_s := self._not_before_s - self._clock.monotonic_s()) > 0:
            await asyncio.sleep(pause_s)
        if self._away:  # nothing large goes into the void
            await self._push("records", Cursor(epoch, 0, 0), msgspec.msgpack.encode(Records([])))
        body = msgspec.msgpack.encode(batch)
        answer = await self._push(batch_type, Cursor(epoch, span.lo, span.hi), body, live=live)
        answer = msgspec.structs.replace(answer, type=batch_type)  # seqs of records and of events are the same numbers
        await self._heard(answer)
        return answer

    async def _push(self, batch_type: BatchType, cursor: Cursor, body: bytes, *, live: bool = False) -> Answer:
        self.meter.add(len(body) + REQUEST_BYTES)
        started_s = self._clock.monotonic_s()
        try:
            answer = await self.transport.push(batch_type, cursor, body, live=live)
        except (BatchRefused, BatchTooLarge, LayoutsWanted):
            self._reach()
            raise
        self._reach()
        self.acknowledged_at = self._clock.wall_ms()
        self.heard_s = self._clock.monotonic_s()
        self.took_s = self.heard_s - started_s
        return answer

    def _reach(self) -> None:
        if not self.connected:
            log.info("hub reached", extra={"hub": self.transport.name})
        self.connected, self.error, self._away = True, "", False
        self._reached.set()

    async def _told(self, answer: Answer) -> None:
        """By the hub itself: somebody asked for it, too, or a broker brought it."""
        self.meter.add(REQUEST_BYTES)
        await self._heard(answer)

    async def _heard(self, answer: Answer) -> None:
        self.meter.add(len(msgspec.json.encode(answer)))
        for hearer in self._hearers:
            await hearer(answer)

    async def attempt(self, backoff: Backoff, push: Coroutine[Any, Any, object]) -> bool:
        """Whether `push` went through; if not, the pause that is due has been kept."""
        try:
            await push
        except PushError as error:
            await self.back_off(backoff, error)
            return False
        backoff.succeeded()
        return True

    async def back_off(self, backoff: Backoff, error: PushError) -> None:
        """Keep the pause that is due after `error`."""
        backoff.error = error.in_full
        if isinstance(error, LineClosed):
            await self._pause(backoff, CLOSED_S)
        elif isinstance(error, BatchRefused | BatchTooLarge | LayoutsWanted | LaneFull):
            await self._pause(backoff, backoff.failed())
        elif self.heard_s > backoff.failed_s and not isinstance(error, HubBusy | HubRefused):
            await self._pause(backoff, backoff.failed())  # the hub hears other streams: it is not away
        else:
            if self.connected or not self.error:
                log.warning("hub not reached", extra={"hub": self.transport.name, "why": backoff.error})
            self.connected, self.error = False, backoff.error
            if isinstance(error, HubBusy):
                pause_s = backoff.failed(at_least_s=error.retry_after_s)
                self._not_before_s = max(self._not_before_s, self._clock.monotonic_s() + pause_s)
                await self._pause(backoff, pause_s)
            elif isinstance(error, HubRefused):
                await self._pause(backoff, backoff.failed(refused=True))
            else:
                await self._wait_for_the_hub(backoff)

    async def _pause(self, backoff: Backoff, seconds: float) -> None:
        backoff.next_at_s = self._clock.monotonic_s() + seconds
        await asyncio.sleep(seconds)

    async def _wait_for_the_hub(self, backoff: Backoff) -> None:
        """Until the pause is over, or another stream has reached it; one stream at a time tries."""
        self._away = True
        backoff.failed_s = self._clock.monotonic_s()
        pause_s = backoff.failed()
        probes, self._probing = not self._probing, True
        if probes:
            self._reached.clear()
        else:
            pause_s += self._patience.away_max_s  # in case that it has nothing more to send
        backoff.next_at_s = self._clock.monotonic_s() + pause_s
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._reached.wait()
                    backoff.failures = 0  # should it fail once more, it fails for another reason
        finally:
            self._probing = self._probing and not probes
