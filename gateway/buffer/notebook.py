"""What the gateway remembers of its devices beside their readings; in the buffer's file."""

from gateway.core.database import Database
from gateway.core.status import Contact

REFUSED = "SELECT tbl, address, count FROM refused WHERE device = ? AND plan = ?"
FORGET_REFUSED = "DELETE FROM refused WHERE device = ?"
KEEP_REFUSED = "INSERT OR IGNORE INTO refused (device, plan, tbl, address, count) VALUES (?, ?, ?, ?, ?)"
SERIALS = "SELECT device, serial FROM identity"
KEEP_SERIAL = "INSERT OR REPLACE INTO identity (device, serial, ts) VALUES (?, ?, ?)"
KEEP_CONTACT = "INSERT OR REPLACE INTO contact (ts, device, status, error, response_ms) VALUES (?, ?, ?, ?, ?)"
FORGET_CONTACTS = "DELETE FROM contact WHERE ts < ?"
CONTACTS = "SELECT ts, device, status, error, response_ms FROM contact WHERE device = ? ORDER BY ts DESC LIMIT ?"
CONTACTS_KEPT_MS = 7 * 86_400_000


class Notebook:
    """Small facts; each write is a transaction of its own, made seldom."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def refused(self, device: str, plan: str) -> list[tuple[str, int, int]]:
        """The ranges (table, address, count) that the device refused under this plan. Raises StorageError."""
        return [tuple(row) for row in await self._database.fetch(REFUSED, (device, plan))]

    async def remember_refused(self, device: str, plan: str, ranges: list[tuple[str, int, int]]) -> None:
        """Replace what was known of the device. Raises StorageError."""
        async with self._database.transaction() as db:
            await db.execute(FORGET_REFUSED, (device,))
            await db.executemany(KEEP_REFUSED, [(device, plan, *one) for one in ranges])

    async def serials(self) -> dict[str, str]:
        """By device: the serial number that it last answered with. Raises StorageError."""
        return {str(device): str(serial) for device, serial in await self._database.fetch(SERIALS)}

    async def keep_serial(self, device: str, serial: str, ts: int) -> None:
        """Raises StorageError."""
        async with self._database.transaction() as db:
            await db.execute(KEEP_SERIAL, (device, serial, ts))

    async def log_contacts(self, contacts: list[Contact]) -> None:
        """Append to the connection log, and drop what is older than a week. Raises StorageError."""
        async with self._database.transaction() as db:
            await db.executemany(KEEP_CONTACT, [(c.ts, c.device, c.status, c.error, c.response_ms) for c in contacts])
            await db.execute(FORGET_CONTACTS, (max(c.ts for c in contacts) - CONTACTS_KEPT_MS,))

    async def contacts(self, device: str, limit: int = 200) -> list[Contact]:
        """The newest entries of a device's connection log, newest first. Raises StorageError."""
        return [Contact(*row) for row in await self._database.fetch(CONTACTS, (device, limit))]
