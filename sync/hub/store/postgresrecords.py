"""How a batch of records gets into PostgreSQL: by COPY where all of it is new, row by row where some may be there.

What each costs: docs/decisions/0014-partitions.md.
"""

from collections.abc import Sequence
from typing import Any

from sync.hub.store.closed import times_by_series

COPY_LEAST = 200  # records; of fewer, to ask first costs more than COPY saves
COLUMNS = ("series", "ts", "flags", "row")
# The bounds of the whole batch come as numbers of their own: by them weeks are left out when the question is planned.
SOME_HELD = """SELECT EXISTS (SELECT
    FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS wanted (of_series, lo, hi)
    CROSS JOIN LATERAL (SELECT FROM record
        WHERE series = of_series AND ts BETWEEN lo AND hi AND ts BETWEEN $4 AND $5 LIMIT 1) AS held)"""
APPEND = """INSERT INTO record (series, ts, flags, row)
    SELECT * FROM unnest($1::integer[], $2::bigint[], $3::smallint[], $4::bytea[]) ON CONFLICT DO NOTHING
    RETURNING 1"""

RecordRow = tuple[int, int, int, bytes]  # as COLUMNS


async def append(db: Any, rows: Sequence[RecordRow], *, by_copy: bool) -> int:
    """How many were new. Within a transaction that keeps all others from adding to these series.

    `by_copy`: where it pays; Citus refuses what is to be asked first.
    """
    if not rows:
        return 0
    if by_copy and len(rows) >= COPY_LEAST and await _all_new(db, rows):
        await db.copy_records_to_table("record", records=rows, columns=COLUMNS)
        return len(rows)
    # Counted here: by Citus, INSERT 0 1 also says what was there already.
    return len(await db.fetch(APPEND, *zip(*rows, strict=True)))


async def _all_new(db: Any, rows: Sequence[RecordRow]) -> bool:
    """Whether no key comes twice, and nothing is held between the first and the last time of any series."""
    times = times_by_series(rows)
    if any(len(set(of)) < len(of) for of in times.values()):
        return False
    los, his = [min(of) for of in times.values()], [max(of) for of in times.values()]
    return not await db.fetchval(SOME_HELD, list(times), los, his, min(los), max(his))
