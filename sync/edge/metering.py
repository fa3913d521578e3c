"""What a metered line may carry in a day: the backlog stops before the live lane does, heartbeats never."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from gateway.core.errors import PushError, StorageError

BACKLOG_SHARE, LIVE_SHARE = 0.8, 1.0  # of the day's bytes
REQUEST_BYTES = 700  # headers of a request and its answer, with what TLS and TCP add
LOOK_S = 60.0  # how often it is looked whether a new day has come
KEEP_EVERY = 100  # parts of the budget: so much of it may be counted anew after a power cut


class Spent(Protocol):
    """Where the count survives a restart. Both raise StorageError."""

    async def load(self) -> tuple[int, int]:
        """The day, and the bytes of that day; zeros where nothing was kept."""
        ...

    async def keep(self, day: int, count: int) -> None: ...


class LineClosed(PushError):
    """Today's bytes are spent."""


class Meter:
    """Counts what goes over the line; `today` says which day it is, at the site, None while nobody knows."""

    def __init__(self, today: Callable[[], int | None], budget: int = 0, spent: Spent | None = None) -> None:
        """`budget`: bytes a day; 0: no limit."""
        self.budget = budget
        self._today = today
        self._spent = spent
        self._day = today() or 0
        self._count = 0
        self._kept = 0
        self._loaded = spent is None

    @property
    def count(self) -> int:
        """Bytes of this day."""
        self._turn()
        return self._count

    def add(self, count: int) -> None:
        self._turn()
        self._count += count

    def has_room(self, share: float) -> bool:
        return not self.budget or self.count < share * self.budget

    def check(self, share: float) -> None:
        """Raises LineClosed where that share of the day's bytes is spent."""
        if not self.has_room(share):
            said = f"{self.count / 1e6:.1f} of {self.budget / 1e6:.1f} MB of this day are spent"
            raise LineClosed(said, hint="it goes on at midnight; hub.daily_mb sets the limit")

    def _turn(self) -> None:
        today = self._today()
        if today is not None and today != self._day:
            self._day, self._count, self._kept = today, 0, 0

    async def run(self) -> None:
        """Take up what was counted before a restart, and keep it over the next. Run until cancelled."""
        while self._spent is not None:
            with contextlib.suppress(StorageError):  # the buffer says so itself; the next round tries again
                if not self._loaded:
                    day, count = await self._spent.load()
                    if self._today() is None:
                        self._day = day  # nobody knows the time yet: as if it were the same day
                    self._count += count if day == self._day else 0
                    self._loaded = True
                elif self.count - self._kept > max(self.budget, 10_000_000) / KEEP_EVERY:
                    await self._keep()
            await asyncio.sleep(LOOK_S if self._loaded else 1.0)
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Keep the count over the restart."""
        if self._loaded and self.count > self._kept:
            with contextlib.suppress(StorageError):  # the buffer says so itself
                await self._keep()

    async def _keep(self) -> None:
        self._kept = self.count
        if self._spent is not None:
            await self._spent.keep(self._day, self._kept)
