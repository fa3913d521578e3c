"""How many bytes went to the hub on a day, in the buffer's file: a metered line's count survives a restart."""

import contextlib

from gateway.core.database import Database

SPENT = "SELECT value FROM meta WHERE key = 'sync_bytes'"
KEEP = "INSERT OR REPLACE INTO meta (key, value) VALUES ('sync_bytes', ?)"


class SpentBytes:
    """Days by number, as `date.toordinal` counts them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[int, int]:
        """The day and its bytes; zeros where nothing was kept. Raises StorageError."""
        for (kept,) in await self._database.fetch(SPENT):
            with contextlib.suppress(ValueError):  # a spoilt row must not stop the line
                day, count = kept.split(":")
                return int(day), int(count)
        return 0, 0

    async def keep(self, day: int, count: int) -> None:
        """Raises StorageError."""
        async with self._database.transaction() as db:
            await db.execute(KEEP, (f"{day}:{count}",))
