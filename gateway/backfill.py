"""Takes from a device's own log what the history lacks, window by window, between the polls of its bus.

What was read goes into the buffer, and when it is on the disk, the place in the log is kept: a crash
between the two takes the same records again, and none is lost. A hub knows them by layout and time.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Protocol

from gateway.buffer.doubtful import Doubtful
from gateway.buffer.pulled import Place
from gateway.core.clock import Clock
from gateway.core.errors import DeviceError, StorageError
from gateway.core.model import Layout, Record
from gateway.logged import BATCH, LoggedRecord, Retime, Taken, settle

RETRY_S = 300.0  # after a failure
SURVEY_EVERY = 10  # steps that brought nothing; then the log may have become another one
FRUITLESS_MAX = 60

log = logging.getLogger(__name__)


class Log(Protocol):
    """A device's own log. Its records are numbered in the order in which they were made."""

    @property
    def layout(self) -> Layout: ...

    async def extent(self) -> tuple[int, int] | None:
        """The index of the oldest record, and the one that the next will get; None: ask again. Raises DeviceError."""
        ...

    async def window(self, index: int) -> Sequence[LoggedRecord]:
        """Some records from `index` on, without a hole; none: ask again. Raises DeviceError."""
        ...


class Sink(Protocol):
    """Where the records go."""

    @property
    def dropped(self) -> int:
        """How many records were given up since the start."""
        ...

    def put(self, layout: Layout, records: Iterable[Record]) -> None: ...
    async def flushed(self) -> None: ...


class Places(Protocol):
    """What is remembered of the logs."""

    async def place(self, device: str) -> Place: ...
    async def keep(self, device: str, place: Place, aside: Sequence[Doubtful] = ()) -> None: ...


Tell = Callable[[str, str, str], None]
"""Event kind, device, detail."""


class Backfill:
    """One device's log. The task that owns the bus calls `step` while nothing else is due and the device answers."""

    def __init__(
        self, source: Log, sink: Sink, places: Places, clock: Clock, retime: Retime, tell: Tell, *,
        every_s: float = 3600, time_known: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        """The log is left alone until `time_known`: before, its stamps cannot be judged."""
        self.taken = 0
        self.doubtful = 0
        self._source = source
        self._device = source.layout.device
        self._sink = sink
        self._places = places
        self._clock = clock
        self._retime = retime
        self._tell = tell
        self._every_s = every_s
        self._time_known = time_known
        self._due_s = 0.0
        self._outage = True  # this round follows one, or a start
        self._failing = False
        self._found = 0, 0  # records taken and set aside in this round
        self._start_over()

    def _start_over(self) -> None:
        """Begin a round at the place that is kept, whatever was read since."""
        self._place = Place()
        self._next: int | None = None  # where the log ends; None: not known in this round
        self._at = 0  # what to read next
        self._read: list[LoggedRecord] = []
        self._dropped = 0  # by the sink, when it was handed over
        self._put: Taken | None = None  # handed to the buffer, its place not kept yet
        self._fruitless = 0

    def wake(self) -> None:
        """The device is back from an outage: look at its log now."""
        self._due_s = 0.0
        self._outage = True
        self._next = None

    def doze(self) -> None:
        """The device is gone: leave it alone until it is back."""
        self._due_s = inf

    async def step(self) -> bool:
        """Take one window, or commit what was taken; whether there is more to do at once. A failure is said once."""
        if not self._time_known() or self._clock.monotonic_s() < self._due_s:
            return False
        try:
            more = await self._advance()
        except (DeviceError, StorageError) as error:
            if not self._failing:
                log.warning("device's log not taken", extra={"device": self._device, "why": str(error)})
            self._failing = True
            self._due_s = self._clock.monotonic_s() + RETRY_S
            self._next = None
            return False
        if not more:
            self._end_round()
        return more

    async def _advance(self) -> bool:
        if self._put is not None:
            await self._commit(self._put)
        elif self._next is None:
            await self._survey()
        elif self._at < self._next and len(self._read) < BATCH:
            await self._take(self._at)
        elif self._read:
            taken = settle(self._source.layout, self._read, self._place, self._clock.wall_ms(), self._retime)
            await self._commit(taken)
            return self._next is None or self._at < self._next  # None: woken meanwhile
        else:
            return False
        return True

    async def _survey(self) -> None:
        """Find out where the log begins and ends, and what happened to it since it was last looked at."""
        extent = await self._source.extent()
        if extent is None:
            self._got_nothing()
            return
        oldest, following = extent
        self._place = await self._places.place(self._device)
        self._read.clear()
        if following < self._place.position:
            await self._go_to(oldest, "log_cleared", "its log was cleared")
        elif oldest > self._place.position:
            if self._place.ts:
                lost = oldest - self._place.position
                what = f"{lost} records of its log were overwritten before they were taken"
                await self._go_to(oldest, "log_overrun", what)
            else:
                self._place = Place(oldest)
        self._next = following
        # The last record that was taken is read once more: one that is newer now is of another log.
        self._at = self._place.position - (1 if self._place.ts and self._place.position > oldest else 0)

    async def _take(self, index: int) -> None:
        records = list(await self._source.window(index))
        if not records:
            self._got_nothing()
            return
        self._fruitless = 0
        self._at = records[-1].index + 1
        if index < self._place.position:
            first = records.pop(0)
            (ts,) = self._retime([(first.index, first.ts)], self._clock.wall_ms())
            if ts is not None and ts > self._place.ts:
                await self._go_to(0, "log_cleared", "its log was cleared and has grown again since")
                self._next = None
                return
        self._read += records

    async def _go_to(self, position: int, kind: str, detail: str) -> None:
        """Go on elsewhere than where the last round ended, and say so."""
        self._place = Place(position, self._place.ts)
        await self._places.keep(self._device, self._place)
        self._tell(kind, self._device, detail)

    async def _commit(self, taken: Taken) -> None:
        if self._put is None:
            self._put = taken
            self._dropped = self._sink.dropped
            self._sink.put(self._source.layout, taken.records)
        await self._sink.flushed()
        if self._sink.dropped != self._dropped:  # the disk took nothing for so long that some of it may be gone
            self._start_over()
            raise StorageError("records of the device's log were dropped; they are taken again")
        await self._places.keep(self._device, taken.place, taken.aside)
        self._put = None
        self._read = [entry for entry in self._read if entry.index >= taken.place.position]
        self._place = taken.place
        self.taken += len(taken.records)
        self.doubtful += len(taken.aside)
        self._found = self._found[0] + len(taken.records), self._found[1] + len(taken.aside)

    def _got_nothing(self) -> None:
        self._fruitless += 1
        if self._fruitless % SURVEY_EVERY == 0:
            self._next = None
        if self._fruitless >= FRUITLESS_MAX:
            self._fruitless = 0
            raise DeviceError(
                f"{self._device}: its log does not show what is asked for", hint="see whether another program reads it"
            )

    def _end_round(self) -> None:
        records, aside = self._found
        if self._outage and (records or aside):
            kept_aside = f", {aside} with a wrong time kept aside" if aside else ""
            self._tell("log_taken", self._device, f"{records} records of its own log{kept_aside}")
        if self._failing:
            log.info("device's log is taken again", extra={"device": self._device})
        self._found, self._outage, self._failing = (0, 0), False, False
        self._due_s = self._clock.monotonic_s() + self._every_s
        self._start_over()
