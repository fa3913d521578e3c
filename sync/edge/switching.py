"""Two ways to the hub: the other one carries while the preferred one does not get through.

A batch that one way did not bring is tried on the other at once; should both have brought it, the hub
keeps it once all the same.
"""

import asyncio
import logging
from random import Random

import msgspec

from gateway.core.errors import PushError
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

RETURN_S, RETURN_MAX_S = 60.0, 1800.0  # between two looks whether the preferred way is open again
LOOK = Cursor("0" * 16, 0, 0), msgspec.msgpack.encode(Records([]))  # stores nothing

log = logging.getLogger(__name__)


class SwitchingTransport:
    """Meets `Transport`; `name` and `kind` are those of the way that carries at present."""

    def __init__(self, preferred: Transport, other: Transport, random: Random) -> None:
        self._preferred = preferred
        self._other = other
        self._random = random
        self._carrier = preferred
        self._switched = asyncio.Event()
        self._hearing = asyncio.Lock()
        self.name, self.kind = preferred.name, preferred.kind

    async def push(self, batch_type: BatchType, cursor: Cursor, body: bytes, *, live: bool = False) -> Answer:
        """See `Transport.push`."""
        first = self._carrier
        second = self._other if first is self._preferred else self._preferred
        try:
            return await first.push(batch_type, cursor, body, live=live)
        except PushError as error:
            if _hub_spoke(error):
                raise
            why = error
        try:
            answer = await second.push(batch_type, cursor, body, live=live)
        except PushError as error:
            if _hub_spoke(error):
                self._carry_by(second, why)
                raise
            refused = isinstance(why, HubRefused) and isinstance(error, HubRefused)
            words = f"{first.kind}: {why}; {second.kind}: {error}"
            if isinstance(why, LaneFull):  # what is of another lane gets through
                raise LaneFull(words) from error
            raise (HubRefused if refused else PushError)(words, hint=error.hint) from error
        self._carry_by(second, why)
        return answer

    def _carry_by(self, way: Transport, why: PushError | None) -> None:
        if way is self._carrier:
            return
        log.info("way to the hub changed", extra={"to": way.name, "why": str(why) if why else "it is open again"})
        self._carrier = way
        self.name, self.kind = way.name, way.kind
        self._switched.set()
        self._switched = asyncio.Event()

    async def run(self, hear: Hear) -> None:
        """See `Transport.run`. Only the way that carries is listened to."""

        async def heard(answer: Answer) -> None:
            async with self._hearing:
                await hear(answer)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._return(), name="way back to the hub")
            while True:
                switched = self._switched
                listening = tasks.create_task(self._carrier.run(heard), name=f"hub's word by {self.kind}")
                await switched.wait()
                async with self._hearing:  # what is being heard is heard to its end
                    listening.cancel()

    async def _return(self) -> None:
        """Back to the preferred way when it is open again. Run until cancelled.

        One that is open for a look and then takes nothing, as with a full queue, is looked at ever less as well.
        """
        pause_s, loop = RETURN_S, asyncio.get_running_loop()
        while True:
            if self._carrier is self._preferred:
                since_s = loop.time()
                await self._switched.wait()
                if loop.time() > since_s + pause_s:
                    pause_s = RETURN_S
            await asyncio.sleep(self._random.uniform(0.5, 1) * pause_s)
            pause_s = min(2 * pause_s, RETURN_MAX_S)
            try:
                await self._preferred.push("records", *LOOK)
            except PushError as error:
                if not _hub_spoke(error):
                    continue
            self._carry_by(self._preferred, None)

    async def close(self) -> None:
        await self._preferred.close()
        await self._other.close()


def _hub_spoke(error: PushError) -> bool:
    """Whether the way is open, so that another leads no further.

    Where a broker is full or blocked, or a proxy has no hub behind it, nobody says when to come again.
    """
    if isinstance(error, HubBusy):
        return error.retry_after_s > 0
    return isinstance(error, LayoutsWanted | BatchRefused | BatchTooLarge)
