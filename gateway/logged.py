"""What becomes of the records of a device's own log: their times, or that they have none; pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from gateway.buffer.doubtful import Doubtful
from gateway.buffer.pulled import Place
from gateway.core.model import BACKFILLED, Layout, Raw, Record

BATCH = 240  # records a commit: half a minute's reading; a commit a window would cost thirty times the writes


class LoggedRecord(Protocol):
    """One record of a device's log."""

    @property
    def index(self) -> int: ...
    @property
    def ts(self) -> int:
        """The device's own stamp, milliseconds since 1970 UTC; it may be wrong, 0 where there is none."""
        ...

    @property
    def values(self) -> Sequence[Raw | None]: ...


Retime = Callable[[Sequence[tuple[int, int]], int], Sequence[int | None]]
"""From (index, stamp) and the present to the times; None where a stamp is wrong and no neighbours tell better."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What becomes of the records that were read."""

    records: tuple[Record, ...]
    aside: tuple[Doubtful, ...]
    place: Place


def settle(layout: Layout, read: Sequence[LoggedRecord], place: Place, now_ms: int, retime: Retime) -> Taken:
    """Give the records, which begin at `place`, their times; pure.

    Those at the end whose stamps are wrong are left out, for the next good stamp tells their time; unless none
    of them is good and there are as many as a commit takes.
    """
    known = [(place.position - 1, place.ts)] if place.ts else []
    times = list(retime([*known, *((entry.index, entry.ts) for entry in read)], now_ms))[len(known) :]
    count = len(times)
    while count and times[count - 1] is None:
        count -= 1
    if not count and len(read) >= BATCH:
        count = len(read)
    records, aside, newest = [], [], place.ts
    for entry, ts in zip(read[:count], times, strict=False):
        if ts is None:
            body = {"index": entry.index, "ts": entry.ts, "values": entry.values}
            why = "its stamp is wrong, and no neighbours tell"
            aside.append(Doubtful(layout.device, now_ms, why, msgspec.json.encode(body)))
            continue
        if ts <= newest:
            # A clock that was set back shows times again, and a history has one record a time. Logs stamp
            # whole seconds: the index, in the milliseconds, keeps the records apart and in their order.
            ts += 1 + entry.index % 999 - ts % 1000  # noqa: PLW2901
        newest = max(newest, ts)
        records.append(Record(layout.id, ts, layout.rows.pack(entry.values), BACKFILLED))
    position = read[count - 1].index + 1 if count else place.position
    return Taken(tuple(records), tuple(aside), Place(position, newest))
