"""Commands and heartbeats in the hub's SQLite file."""

from collections.abc import Sequence

import msgspec

from gateway.core.database import Database
from gateway.core.model import Command, CommandResult
from sync.hub.commandstore import Beat, Ordered, ordered_of

ORDER = """INSERT OR IGNORE INTO command (id, node, created, changed, not_after, state, body)
    VALUES (?, ?, ?, ?, ?, 'queued', ?)"""
ORDERED = "SELECT node, body, state, created, changed, detail FROM command WHERE id = ?"
COMMANDS = """SELECT node, body, state, created, changed, detail FROM command WHERE node = ?
    ORDER BY created DESC, id LIMIT ?"""
LATE = "SELECT 1 FROM command WHERE node = ? AND state = 'queued' AND not_after < ? LIMIT 1"
EXPIRE = """UPDATE command SET state = 'expired', changed = ?, detail = 'the node did not fetch it in time'
    WHERE node = ? AND state = 'queued' AND not_after < ?"""
QUEUED = """SELECT body FROM command WHERE node = ? AND state = 'queued' AND not_after >= ?
    ORDER BY created, id LIMIT ?"""
TAKEN = "UPDATE command SET state = 'taken', changed = ? WHERE id = ? AND node = ? AND state = 'queued'"
# A command that expired here may have been fetched in time, with the word of it under way.
ENDED = """UPDATE command SET state = ?, detail = ?, changed = ?
    WHERE id = ? AND node = ? AND state IN ('queued', 'taken', 'expired')"""
SAW_NODE = """INSERT INTO node (id, first_seen, last_seen) VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen"""
BEAT = "INSERT OR REPLACE INTO heartbeat (node, at, body) VALUES (?, ?, ?)"
BEATS = "SELECT node, at, body FROM heartbeat"


class SqliteCommands:
    """See `CommandStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def order(self, node: str, command: Command, now: int) -> bool:
        """See `CommandStore.order`."""
        row = (command.id, node, now, now, command.not_after, msgspec.json.encode(command))
        async with self._database.transaction() as db:
            return (await db.execute(ORDER, row)).rowcount == 1

    async def ordered(self, command_id: str) -> tuple[str, Ordered] | None:
        """See `CommandStore.ordered`."""
        rows = await self._database.fetch(ORDERED, (command_id,))
        return (rows[0][0], ordered_of(rows[0])) if rows else None

    async def commands(self, node: str, most: int) -> list[Ordered]:
        """See `CommandStore.commands`."""
        return [ordered_of(row) for row in await self._database.fetch(COMMANDS, (node, most))]

    async def queued(self, node: str, now: int, most: int) -> list[Command]:
        """See `CommandStore.queued`."""
        if await self._database.fetch(LATE, (node, now)):
            async with self._database.transaction() as db:
                await db.execute(EXPIRE, (now, node, now))
        rows = await self._database.fetch(QUEUED, (node, now, most))
        return [msgspec.json.decode(body, type=Command) for (body,) in rows]

    async def taken(self, node: str, ids: Sequence[str], now: int) -> None:
        """See `CommandStore.taken`."""
        async with self._database.transaction() as db:
            await db.executemany(TAKEN, [(now, command_id, node) for command_id in ids])

    async def ended(self, node: str, results: Sequence[CommandResult], now: int) -> None:
        """See `CommandStore.ended`."""
        async with self._database.transaction() as db:
            await db.executemany(ENDED, [(r.state, r.words, now, r.id, node) for r in results])

    async def beat(self, beat: Beat) -> None:
        """See `CommandStore.beat`."""
        async with self._database.transaction() as db:
            await db.execute(SAW_NODE, (beat.node, beat.at, beat.at))
            await db.execute(BEAT, (beat.node, beat.at, beat.body))

    async def beats(self) -> list[Beat]:
        return [Beat(*row) for row in await self._database.fetch(BEATS)]
