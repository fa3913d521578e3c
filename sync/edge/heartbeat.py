"""Heartbeats: every so often the hub hears how the gateway is; the answer may bring commands.

What came is acknowledged with the next one, which goes at once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from gateway.core.errors import StorageError
from gateway.core.span import Span
from sync.edge.link import Link
from sync.edge.transport import BatchRefused
from sync.wire import Heartbeat

TAKEN_MAX = 500  # ids of one heartbeat

log = logging.getLogger(__name__)


class Heartbeats:
    """Sends what `facts` says every `every_s` seconds."""

    def __init__(self, link: Link, facts: Callable[[], Awaitable[Heartbeat]], *, every_s: float) -> None:
        self._link = link
        self._facts = facts
        self._every_s = every_s
        self._taken: dict[str, None] = {}  # to be acknowledged, in order
        self._soon = asyncio.Event()
        self._sent = 0

    def acknowledge(self, ids: Iterable[str], soon: bool) -> None:
        """Say with the next heartbeat that these commands are kept; `soon`: that one goes at once."""
        self._taken |= dict.fromkeys(ids)
        if soon:
            self._soon.set()

    async def run(self) -> None:
        """Run until cancelled."""
        backoff = self._link.backoff()
        while True:
            self._soon.clear()
            if await self._link.attempt(backoff, self._beat()):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._every_s):
                        await self._soon.wait()

    async def _beat(self) -> None:
        """One heartbeat. Raises PushError."""
        taken = tuple(self._taken)[:TAKEN_MAX]
        self._sent += 1
        at = Span(self._sent, self._sent)  # each has a cursor of its own: an old answer is not taken for its own
        try:
            await self._link.push("heartbeat", at, msgspec.structs.replace(await self._facts(), taken=taken))
        except BatchRefused as refused:  # a hub of an older release; it takes the readings all the same
            log.debug("the hub takes no heartbeats", extra={"why": str(refused)})
        except StorageError:  # what came with the answer could not be kept: it comes again
            return
        for command_id in taken:
            self._taken.pop(command_id, None)
