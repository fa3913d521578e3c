"""Records whose time cannot be right, set aside in the buffer's file for people to look at."""

from collections.abc import Iterable
from dataclasses import dataclass

import aiosqlite

SET_ASIDE = "INSERT INTO doubtful (device, received, reason, body) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Doubtful:
    """One record; `received_ms` is wall time, `body` is the record as JSON."""

    device: str
    received_ms: int
    reason: str
    body: bytes


async def set_aside(db: aiosqlite.Connection, records: Iterable[Doubtful]) -> None:
    """Within the caller's transaction, so that they go with what else it writes."""
    await db.executemany(SET_ASIDE, [(d.device, d.received_ms, d.reason, d.body) for d in records])
