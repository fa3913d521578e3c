"""Fewer records of the same time, and what the ledger says of it; pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from gateway.core.model import Record
from gateway.core.rollup import HOUR_MS

Hours = Counter[tuple[bytes, int]]
"""How many records each layout has in each hour: by (layout id, when the hour begins in ms)."""


def thin(records: Iterable[Record], level: int) -> list[Record]:
    """The last record of each layout in each `level` ms of time, by seq; a counter loses nothing at the edges."""
    last: dict[tuple[bytes, int], Record] = {}
    for record in records:
        bucket = record.layout_id, record.ts // level
        if bucket not in last or (last[bucket].ts, last[bucket].seq) < (record.ts, record.seq):
            last[bucket] = record
    return sorted(last.values(), key=lambda record: record.seq)


def by_hour(records: Iterable[Record]) -> Hours:
    return Counter((record.layout_id, record.ts // HOUR_MS * HOUR_MS) for record in records)


def entries(
    whole: Sequence[Record], thinned: Sequence[Record], left: Sequence[Record]
) -> list[tuple[bytes, int, int, int]]:
    """What is to be added in the ledger: (layout, hour, to removed, to kept).

    `whole` and `thinned` became `left`; those of `thinned` are in the ledger as kept already.
    """
    fresh, again, after = by_hour(whole), by_hour(thinned), by_hour(left)
    return [
        (*key, fresh[key] + again[key] - after[key], after[key] - again[key])
        for key in sorted(fresh.keys() | again.keys())
    ]
