"""What has to go when the buffer is over its limit, and what first; pure.

What the hub has goes, oldest first. When only that is left which nobody else holds, the oldest of
it loses resolution, never existence. Half of the records stay whole and a quarter stay at one a
minute for as long as what is older can still give something.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.core.rollup import DAY_MS, HOUR_MS, MINUTE_MS

QUARTER_MS = 15 * MINUTE_MS
WHOLE = 0
LEVELS = (WHOLE, MINUTE_MS, QUARTER_MS, HOUR_MS)
RECORDS_AT_ONCE = 20_000  # are rewritten in one transaction
FEW_RECORDS = 1_000  # a thin segment with fewer takes its younger neighbour in
RUNS = 32  # so many pieces, about, the records are thinned in: small ones would cost a row and an event each
EVENTS_MAX = 100_000  # the oldest of more go, whoever has them
AGREEING = 288  # segments, mostly a day's, that have to agree on what time it is before anything is too old
AGREED_MS = 30 * DAY_MS
SLACK = 200  # once over the limit, this part of it is freed beyond what is needed
LOG_PAGES_LEAST, LOG_PAGES_MOST = 250, 16_000  # at which the log goes into the file: decision 4
LOG_PAGE_BYTES = 1024 + 24
TRANSACTION_BYTES = 128 * 1024  # by so much the log may go beyond
COMPACT_LEAST = 512 * 1024  # smaller files are left as they are
RESERVE_SHARE, RESERVE_MOST = 100, 24 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What the configuration allows. `hub`: somebody else is to get the records, and acknowledges them."""

    budget: int = 4_000_000_000
    keep_ms: int = 400 * DAY_MS
    hub: bool = False
    events: int = EVENTS_MAX
    agreeing: int = AGREEING

    @property
    def log_pages(self) -> int:
        """At so many pages the log is written into the file: few where the budget is small, for it counts too."""
        return min(max(self.budget // 16 // LOG_PAGE_BYTES, LOG_PAGES_LEAST), LOG_PAGES_MOST)

    @property
    def log(self) -> int:
        """Bytes that the log grows to, though it may be empty now."""
        return self.log_pages * LOG_PAGE_BYTES + TRANSACTION_BYTES

    @property
    def reserve(self) -> int:
        """Bytes that are kept free beside the file: on a full disk what is in the log must still get into it."""
        return min(max(self.budget // RESERVE_SHARE, self.log * 5 // 4), RESERVE_MOST)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of one moment; `on_disk` is the file without those pages that are in the log only."""

    file: int
    used: int
    log: int
    on_disk: int
    disk_free: int


@dataclass(frozen=True, slots=True)
class Segment:
    """What of a stored segment decides over it."""

    lo: int
    hi: int
    level: int  # milliseconds: one record of a layout in each; WHOLE: all of them
    records: int
    boot: int | None
    rolled: bool
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class Thin:
    """Make one segment of `run`, neighbours in order, with one record of a layout in `level` ms."""

    run: Sequence[Segment]
    level: int


def limit(sizes: Sizes, limits: Limits, grown: int) -> int:
    """How many bytes may be in use, so that file and log stay within the budget and on the disk.

    `grown`: what comes between two looks. Until the next one as much may come, and frames take more
    room than the blocks that are made of them. Bursts take no more than a quarter.
    """
    room = max(0, sizes.disk_free - limits.reserve)  # the last of it is for the log and for checkpoints
    disk = sizes.on_disk + room - min(limits.reserve, sizes.on_disk // 8)
    may = min(limits.budget - max(sizes.log, limits.log), disk)
    return may - min(2 * grown, may // 4)


def is_full(sizes: Sizes, limits: Limits) -> bool:
    """Whether the disk has no room left: then the reserve is given up, and roll-ups are not waited for."""
    return sizes.disk_free < limits.reserve // 4


def has_room(sizes: Sizes, limits: Limits) -> bool:
    """Whether work that may need more than it frees can go on: in free pages of the file, or in more of the disk."""
    return sizes.on_disk + sizes.disk_free - sizes.used > limits.reserve // 2


def worth_compacting(sizes: Sizes, limits: Limits) -> bool:
    """Whether the file should be written anew without its free pages; docs/decisions/0009-space.md.

    The new copy goes through the log, and a temporary one is on the disk as well.
    """
    was_lowered = sizes.file > limits.budget * 21 // 20 and sizes.used < limits.budget
    if not was_lowered and (sizes.used > sizes.file // 2 or sizes.file + sizes.used > limits.budget):
        return False
    return sizes.file > COMPACT_LEAST and sizes.disk_free > 2 * sizes.used + limits.reserve


def present(newest_times: Sequence[int]) -> int:
    """What time it is, by the last records of the newest segments: a clock that is years ahead makes nothing old.

    Where they lie further apart the earlier ones are believed: what is kept for too long does no harm.
    """
    return max(ts for ts in newest_times if ts <= min(newest_times) + AGREED_MS)


def deletable(segments: Iterable[Segment], limits: Limits, *, urgent: bool) -> list[Segment]:
    """Those that somebody else holds, oldest first; with their roll-ups made, unless it is urgent."""
    return [s for s in segments if limits.hub and s.acknowledged and s.boot is None and (s.rolled or urgent)]


def enough(segments: Sequence[Segment], bytes_over: int, bytes_per_record: float) -> Sequence[Segment]:
    """The first of `segments` that together have so many bytes; one transaction's worth at most."""
    records, wanted = 0, bytes_over / bytes_per_record
    for count, segment in enumerate(segments, start=1):
        records += segment.records
        if records >= wanted or records >= 5 * RECORDS_AT_ONCE:
            return segments[:count]
    return segments


def next_thinning(segments: Sequence[Segment]) -> Thin | None:
    """The oldest run of the level that has more than its share, else of the coarsest that can still give something."""
    kept = [s for s in segments if not s.acknowledged]
    total = sum(s.records for s in kept)
    shares = ((WHOLE, 1 / 2), (MINUTE_MS, 1 / 4), (QUARTER_MS, 0.0))
    over = [level for level, share in shares if sum(s.records for s in kept if s.level == level) > share * total]
    for level in [*over, QUARTER_MS, MINUTE_MS, WHOLE]:
        if run := _oldest_run(segments, level, max(1, total // RUNS)):
            return Thin(run, LEVELS[LEVELS.index(level) + 1])
    return None


def _oldest_run(segments: Sequence[Segment], level: int, wanted: int) -> Sequence[Segment]:
    """Neighbours of `level`, about `wanted` records; and a small one before them that is as thin as they will be."""
    first = next((n for n, s in enumerate(segments) if s.level == level and _may_thin(s)), None)
    if first is None:
        return []
    run = [segments[first]]
    for segment in segments[first + 1 :]:
        records = sum(s.records for s in run)
        if records >= wanted or records + segment.records > RECORDS_AT_ONCE or not _alike(run[0], segment, level):
            break
        run.append(segment)
    coarser = LEVELS[LEVELS.index(level) + 1]
    before = [s for s in segments[:first][-1:] if s.records < FEW_RECORDS and _alike(run[0], s, coarser)]
    return [*before, *run]


def _may_thin(segment: Segment) -> bool:
    """What waits for its true time is not in the roll-ups yet, and would wait too long."""
    return not segment.acknowledged and (segment.rolled or segment.boot is not None)


def _alike(one: Segment, other: Segment, level: int) -> bool:
    """Whether `other`, if it has that level, can become one segment with `one`."""
    return (other.level, other.acknowledged, other.boot, other.rolled) == (level, False, one.boot, one.rolled)
