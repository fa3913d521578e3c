"""Commands that came from the hub, by idempotency key: what was kept is never taken for a new one again.

    kept      it came, and waits for its turn
    started   it is being executed; found so after a restart, nobody knows how far it went
    done, failed, expired, unknown    its end: never executed again

The end is told by an event. The event and the note that it was told are two commits: a crash between them tells
the end twice, and changes nothing at the hub.
"""

from collections.abc import Sequence

import msgspec

from gateway.core.database import Database
from gateway.core.model import Command, CommandEnd, CommandResult

KNOWN_MAX = 10_000  # so many are known again when they come once more

KEEP = """INSERT OR IGNORE INTO command (id, seq, received, changed, state, body)
    VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM command), ?, ?, 'kept', ?)"""
FORGET = "DELETE FROM command WHERE told = 1 AND seq <= (SELECT max(seq) FROM command) - ?"
WAITING = "SELECT body FROM command WHERE state = 'kept' ORDER BY seq"
START = "UPDATE command SET state = 'started', changed = ? WHERE id = ? AND state = 'kept'"
CUT_OFF = "UPDATE command SET state = 'unknown', detail = ?, changed = ? WHERE state = 'started' AND id <> ?"
# Where the file is another one by now, the command is in it from here on.
END = """INSERT INTO command (id, seq, received, changed, state, detail, body)
    VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM command), ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, detail = excluded.detail,
        changed = excluded.changed"""
END_LATER = "UPDATE command SET state = ?, detail = ?, changed = ? WHERE id = ? AND state = 'started'"
UNTOLD = """SELECT id, state, detail FROM command
    WHERE told = 0 AND state NOT IN ('kept', 'started') ORDER BY changed, seq"""
TOLD = "UPDATE command SET told = 1, body = x'' WHERE id = ? AND state = ?"


class Commands:
    """The table; each write is a transaction of its own. All methods raise StorageError."""

    def __init__(self, database: Database) -> None:
        self.known_max = KNOWN_MAX
        self._database = database

    async def keep(self, commands: Sequence[Command], now_ms: int) -> list[str]:
        """Keep what is not known yet, on the disk when this returns; the ids of those."""
        new = []
        async with self._database.transaction() as db:
            await db.execute(FORGET, (self.known_max,))
            for command in commands:
                row = (command.id, now_ms, now_ms, msgspec.json.encode(command))
                if (await db.execute(KEEP, row)).rowcount:
                    new.append(command.id)
        return new

    async def waiting(self) -> list[Command]:
        """Those that nothing was done about yet, in the order in which they came."""
        return [msgspec.json.decode(body, type=Command) for (body,) in await self._database.fetch(WAITING)]

    async def start(self, command_id: str, now_ms: int) -> bool:
        """Whether it may be executed now: once this was said, it never is again."""
        async with self._database.transaction() as db:
            return (await db.execute(START, (now_ms, command_id))).rowcount == 1

    async def cut_off(self, words: str, now_ms: int, *, pending: str = "") -> None:
        """What was being executed when the process ended is `unknown`, but for the command `pending`."""
        async with self._database.transaction() as db:
            await db.execute(CUT_OFF, (words, now_ms, pending))

    async def end(self, command: Command, state: CommandEnd, words: str, now_ms: int) -> None:
        """Keep how a command ended."""
        async with self._database.transaction() as db:
            await db.execute(END, (command.id, now_ms, now_ms, state, words, msgspec.json.encode(command)))

    async def end_later(self, command_id: str, state: CommandEnd, words: str, now_ms: int) -> None:
        """Keep how a command ended that was started before this process, or earlier in it."""
        async with self._database.transaction() as db:
            await db.execute(END_LATER, (state, words, now_ms, command_id))

    async def untold(self) -> list[CommandResult]:
        """Ends of which no event tells yet."""
        rows = await self._database.fetch(UNTOLD)
        return [msgspec.convert({"id": row[0], "state": row[1], "words": row[2]}, CommandResult) for row in rows]

    async def told(self, ends: Sequence[CommandResult]) -> None:
        """The events of these are on the disk."""
        async with self._database.transaction() as db:
            await db.executemany(TOLD, [(end.id, end.state) for end in ends])
