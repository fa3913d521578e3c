"""The ledger of thinning: which hours have lost resolution, and how many records are gone and left."""

from collections.abc import Iterable, Mapping, Sequence

import aiosqlite

from gateway.core.database import Database
from gateway.core.rollup import HOUR_MS
from gateway.core.status import ThinnedRange
from gateway.core.wording import resolution_text, utc_text

ADD = """INSERT INTO thinned (layout, hour, removed, kept, level) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET removed = removed + excluded.removed, kept = kept + excluded.kept,
    level = max(level, excluded.level)"""
COUNT = "SELECT count(*) FROM thinned WHERE removed > 0"
BY_HOUR = """SELECT hour, max(level), sum(removed), sum(kept) FROM thinned WHERE removed > 0
    GROUP BY hour ORDER BY hour"""
FORGET = "DELETE FROM thinned WHERE layout IN (SELECT id FROM layout) AND hour < ?"  # by the key


async def add(db: aiosqlite.Connection, entries: Iterable[tuple[bytes, int, int, int]], level: int) -> None:
    """Within the caller's transaction, so that the ledger is as exact as what it tells of."""
    await db.executemany(ADD, [(*entry, level) for entry in entries])


async def forget(db: aiosqlite.Connection, before_ms: int) -> bool:
    """Of hours that lie so far back that nothing else of them is kept either; whether there were any."""
    return (await db.execute(FORGET, (before_ms,))).rowcount > 0


async def hours(database: Database) -> int:
    """How many hours of a poll group have lost records. Raises StorageError."""
    return int((await database.fetch(COUNT))[0][0])


async def ranges(database: Database) -> list[ThinnedRange]:
    """The thinned time, oldest first; neighbouring hours of the same resolution are one. Raises StorageError."""
    return joined(tuple(row) for row in await database.fetch(BY_HOUR))


def joined(rows: Iterable[tuple[int, int, int, int]]) -> list[ThinnedRange]:
    """`rows`: (hour, level, removed, kept), by hour."""
    found: list[ThinnedRange] = []
    for hour, level, removed, kept in rows:
        new = ThinnedRange(hour, hour + HOUR_MS, level, removed, kept)
        if found and (found[-1].until, found[-1].level_ms) == (hour, level):
            last = found.pop()
            new = ThinnedRange(last.since, new.until, level, last.removed + removed, last.kept + kept)
        found.append(new)
    return found


def sentence(thinned: Mapping[int, Sequence[int]]) -> str:
    """What a round has done; by level: the oldest and the newest time, records removed and kept."""
    parts = [
        f"{utc_text(since)} to {utc_text(until)} UTC:"
        f" one record {resolution_text(level)}, {removed} records gone, {kept} kept"
        for level, (since, until, removed, kept) in sorted(thinned.items(), reverse=True)
    ]
    return "; ".join(parts)
