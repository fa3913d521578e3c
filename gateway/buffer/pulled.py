"""How far each device's own log has been taken, and what could not be given a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.buffer.doubtful import Doubtful, set_aside
from gateway.core.database import Database

PLACE = "SELECT position, ts FROM pulled WHERE device = ?"
KEEP_PLACE = "INSERT OR REPLACE INTO pulled (device, position, ts) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Place:
    """The index of the first record that was not taken yet, and the newest time of those that were."""

    position: int = 0
    ts: int = 0  # milliseconds since 1970 UTC; 0: none was


class Pulled:
    """The places in the logs, in the buffer's file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def place(self, device: str) -> Place:
        """Raises StorageError."""
        rows = await self._database.fetch(PLACE, (device,))
        return Place(*rows[0]) if rows else Place()

    async def keep(self, device: str, place: Place, aside: Sequence[Doubtful] = ()) -> None:
        """Both or neither; on the disk when this returns. Raises StorageError."""
        async with self._database.transaction() as db:
            await db.execute(KEEP_PLACE, (device, place.position, place.ts))
            await set_aside(db, aside)
