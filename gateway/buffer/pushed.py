"""What the buffer's file remembers of devices that send: which records were taken, and which are doubtful."""

from collections.abc import Iterable, Sequence

from gateway.buffer.doubtful import Doubtful, set_aside
from gateway.core.database import Database

ASKED_AT_ONCE = 500
KNOWN = f"SELECT digest FROM pushed WHERE digest IN ({', '.join(ASKED_AT_ONCE * '?')})"  # noqa: S608 - only the number of places
MARK = "INSERT OR IGNORE INTO pushed (digest, ts) VALUES (?, ?)"
COUNT_DOUBTFUL = "SELECT device, count(*) FROM doubtful GROUP BY device"
FORGET = "DELETE FROM pushed WHERE ts < ?"
FORGET_DOUBTFUL = "DELETE FROM doubtful WHERE id <= (SELECT max(id) FROM doubtful) - ?"


class PushedStore:
    """The tables `pushed` and `doubtful`. All methods raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, digests: Sequence[bytes]) -> set[bytes]:
        """Those of `digests` whose records were taken before."""
        found: set[bytes] = set()
        for start in range(0, len(digests), ASKED_AT_ONCE):
            asked = [*digests[start : start + ASKED_AT_ONCE], *ASKED_AT_ONCE * [b""]][:ASKED_AT_ONCE]
            found |= {digest for (digest,) in await self._database.fetch(KNOWN, tuple(asked))}
        return found

    async def mark(self, digests: Iterable[bytes], doubtful: Iterable[Doubtful], received_ms: int) -> None:
        """Remember records that are on the disk as taken, and set doubtful ones aside."""
        async with self._database.transaction() as db:
            await db.executemany(MARK, [(digest, received_ms) for digest in digests])
            await set_aside(db, doubtful)

    async def doubtful_counts(self) -> dict[str, int]:
        """How many records of each device are set aside."""
        return {row[0]: row[1] for row in await self._database.fetch(COUNT_DOUBTFUL)}

    async def forget(self, before_ms: int, doubtful_max: int) -> None:
        """Forget what was taken before then, and all but the newest doubtful records."""
        async with self._database.transaction() as db:
            await db.execute(FORGET, (before_ms,))
            await db.execute(FORGET_DOUBTFUL, (doubtful_max,))
