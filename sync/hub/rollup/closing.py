"""Closing an hour: its records go, and what is to be known of them stays; later its minutes go, too.

The node is locked (hourwork.py).
"""

import asyncio

from gateway.core.rollup import HOUR_MS
from sync.hub.rollup.rolling import RECORDS
from sync.hub.store.closed import joined
from sync.hub.store.sql import Work

IS_DIRTY = "SELECT 1 FROM dirty WHERE series = $1 AND hour = $2"
CLOSED = "SELECT count, digest, times FROM closed WHERE series = $1 AND hour = $2"
PUT_CLOSED = """INSERT INTO closed (series, hour, count, digest, times) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (series, hour) DO UPDATE
    SET count = excluded.count, digest = excluded.digest, times = excluded.times, minutes = NULL"""
DELETE_RECORDS = "DELETE FROM record WHERE series = $1 AND ts >= $2 AND ts < $3"
HAVE_GONE = "UPDATE rollup_1m SET at = NULL WHERE series = $1 AND hour = $2"
DELETE_MINUTES = "DELETE FROM rollup_1m WHERE series = $1 AND hour = $2 AND at IS NULL"
FORGET_TIMES = "UPDATE closed SET times = NULL, minutes = NULL WHERE series = $1 AND hour = $2"


async def close(db: Work, series: int, hour: int) -> None:
    """Let the records of an hour go, unless some are not rolled up."""
    if await db.fetch(IS_DIRTY, series, hour):
        return
    rows = [(ts, bytes(row)) for ts, row in await db.fetch(RECORDS, series, hour, hour + HOUR_MS)]
    if rows:
        before = await db.fetch(CLOSED, series, hour)
        account, times = await asyncio.to_thread(joined, hour, before[0] if before else None, rows)
        await db.execute(PUT_CLOSED, series, hour, account.count, account.digest, times)
        await db.execute(DELETE_RECORDS, series, hour, hour + HOUR_MS)
    await db.execute(HAVE_GONE, series, hour)


async def forget(db: Work, series: int, hour: int) -> None:
    """Let the minutes of a closed hour go, and the times of its records."""
    if not await db.fetch(IS_DIRTY, series, hour) and await db.execute(DELETE_MINUTES, series, hour):
        await db.execute(FORGET_TIMES, series, hour)
