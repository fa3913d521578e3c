"""The connection log: a line where a device's condition changes, and one every ten minutes."""

import logging
from collections.abc import Iterable
from typing import Protocol

import msgspec

from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from gateway.core.status import Contact

EVERY_S = 600.0
PENDING_MAX = 1000  # lines kept while the disk takes nothing

log = logging.getLogger(__name__)


class Store(Protocol):
    """Keeps the lines."""

    async def log_contacts(self, contacts: list[Contact]) -> None: ...


class ContactLog:
    """Collects lines, and writes those of a few seconds at once."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lines: list[Contact] = []
        self._due_s = clock.monotonic_s() + EVERY_S
        self._failing = False

    def note(self, device: str, status: str, error: str, response_ms: float | None) -> None:
        """What has just changed."""
        self._lines = [*self._lines, Contact(self._clock.wall_ms(), device, status, error, response_ms)][-PENDING_MAX:]

    def retimed(self, by_ms: int) -> None:
        """The time became known: what was noted before and is not written yet is later by so much."""
        self._lines = [msgspec.structs.replace(line, ts=line.ts + by_ms) for line in self._lines]

    async def write(self, now: Iterable[tuple[str, str, str, float | None]]) -> None:
        """Write what was noted; every ten minutes also `now`, how all devices are (as `note` takes it)."""
        if self._clock.monotonic_s() >= self._due_s:
            self._due_s = self._clock.monotonic_s() + EVERY_S
            for device, status, error, response_ms in now:
                self.note(device, status, error, response_ms)
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        try:
            await self._store.log_contacts(lines)
        except StorageError as error:
            self._lines = [*lines, *self._lines][-PENDING_MAX:]
            if not self._failing:
                log.warning("connection log not written", extra={"why": str(error)})
            self._failing = True
        else:
            self._failing = False
