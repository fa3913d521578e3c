"""What keeps the file small and quick, done every few minutes, one step after the other."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from gateway.core.errors import StorageError

EVERY_S = 300

log = logging.getLogger(__name__)
Step = Callable[[], Awaitable[bool]]
"""A piece of work, a transaction or a few; whether there is more of it to do at once. Raises StorageError."""


class Upkeep:
    """Sealing, roll-ups, retention: what comes first makes room for what comes later."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Do a round every few minutes, and when `soon` was called. Run until cancelled."""
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            await self.round()

    def soon(self) -> None:
        """Do the next round now."""
        self._wanted.set()

    async def round(self) -> None:
        """Every step until it has no more to do; one that fails is tried again in the next round."""
        for step in self._steps:
            try:
                while await step():
                    pass
            except StorageError as error:
                log.warning("upkeep failed", extra={"step": step.__qualname__, "why": str(error)})
            except Exception:  # a bulkhead: a spoilt row, or our own bug, must not end the taking of readings
                log.exception("upkeep failed", extra={"step": step.__qualname__})
