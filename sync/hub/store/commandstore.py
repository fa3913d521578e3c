"""Commands and heartbeats in the hub's database."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from gateway.core.model import Command, CommandEnd, CommandResult
from sync import wire
from sync.hub.store.sql import Row, Sql

ORDER = """INSERT INTO command (id, node, created, changed, not_after, state, body)
    VALUES ($1, $2, $3, $3, $4, 'queued', $5) ON CONFLICT DO NOTHING"""
ORDERED = "SELECT node, body, state, created, changed, detail, taken FROM command WHERE id = $1"
COMMANDS = """SELECT node, body, state, created, changed, detail, taken FROM command WHERE node = $1
    ORDER BY created DESC, id LIMIT $2"""
LATE = "SELECT 1 FROM command WHERE node = $1 AND state = 'queued' AND not_after < $2 LIMIT 1"
EXPIRE = """UPDATE command SET state = 'expired', changed = $2, detail = 'the node did not fetch it in time'
    WHERE node = $1 AND state = 'queued' AND not_after < $2"""
QUEUED = """SELECT body FROM command WHERE node = $1 AND state = 'queued' AND not_after >= $2
    ORDER BY created, id LIMIT $3"""
WITH_ORDERS = "SELECT DISTINCT node FROM command WHERE state = 'queued'"
TAKEN = """UPDATE command SET state = 'taken', changed = $1, taken = $1
    WHERE id = $2 AND node = $3 AND state = 'queued'"""
# A command that expired here may have been fetched in time, with the word of it under way.
ENDED = """UPDATE command SET state = $1, detail = $2, changed = $3
    WHERE id = $4 AND node = $5 AND state IN ('queued', 'taken', 'expired')"""
SAW_NODE = """INSERT INTO node (id, first_seen, last_seen) VALUES ($1, $2, $2) ON CONFLICT (id) DO UPDATE
    SET first_seen = CASE WHEN node.first_seen = 0 THEN excluded.first_seen ELSE node.first_seen END,
        last_seen = CASE WHEN node.last_seen < excluded.last_seen THEN excluded.last_seen ELSE node.last_seen END"""
BEAT = """INSERT INTO heartbeat (node, at, body, backlog, problems) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (node) DO UPDATE SET at = excluded.at, body = excluded.body, backlog = excluded.backlog,
        problems = excluded.problems"""
BEATS = "SELECT node, at, body FROM heartbeat"


CommandState = Literal["queued", "taken"] | CommandEnd


class Ordered(msgspec.Struct, frozen=True):
    """A command and what became of it; times are milliseconds since 1970 UTC.

    queued: the node does not have it yet. taken: it has it, and will say how it ended. expired: it came too late,
    or never got there in time; the rest is as the node says.
    """

    command: Command
    state: CommandState
    created: int
    changed: int
    words: str = ""
    taken: int | None = None  # when the node said that it has it


class Beat(msgspec.Struct, frozen=True):
    """The last heartbeat of a node: when it came, and a Heartbeat as JSON."""

    node: str
    at: int
    body: bytes
    backlog: int = 0  # that it speaks of
    problems: int = 0  # so many


class CommandStore:
    """All methods raise StorageError; what they change is on the disk when they return."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def order(self, node: str, command: Command, now: int) -> bool:
        """Queue a command; whether its id is new. Where it is not, nothing changes."""
        async with self._sql.transaction() as db:
            body = msgspec.json.encode(command)
            return await db.execute(ORDER, command.id, node, now, command.not_after, body) == 1

    async def ordered(self, command_id: str) -> tuple[str, Ordered] | None:
        """A command by its id, with its node."""
        rows = await self._sql.fetch(ORDERED, command_id)
        return (rows[0][0], _ordered(rows[0])) if rows else None

    async def commands(self, node: str, most: int) -> list[Ordered]:
        """A node's commands, newest first."""
        return [_ordered(row) for row in await self._sql.fetch(COMMANDS, node, most)]

    async def queued(self, node: str, now: int, most: int) -> list[Command]:
        """What the node does not have yet, oldest first; what is too late by now expires."""
        if await self._sql.fetch(LATE, node, now):
            async with self._sql.transaction() as db:
                await db.execute(EXPIRE, node, now)
        rows = await self._sql.fetch(QUEUED, node, now, most)
        return [msgspec.json.decode(body, type=Command) for (body,) in rows]

    async def nodes_with_orders(self) -> set[str]:
        """The nodes that something is queued for, late or not."""
        return {node for (node,) in await self._sql.fetch(WITH_ORDERS)}

    async def taken(self, node: str, ids: Sequence[str], now: int) -> None:
        """The node has these."""
        async with self._sql.transaction() as db:
            for command_id in ids:
                await db.execute(TAKEN, now, command_id, node)

    async def ended(self, node: str, results: Sequence[CommandResult], now: int) -> None:
        """What the node says of commands of its own; of each the first word counts."""
        async with self._sql.transaction() as db:
            for result in results:  # one after the other: of two words the first counts
                await db.execute(ENDED, result.state, result.words, now, result.id, node)

    async def beat(self, beat: Beat) -> None:
        """Keep a heartbeat, in the place of the last one; the node was seen."""
        async with self._sql.transaction() as db:
            await db.execute(SAW_NODE, beat.node, beat.at)
            await db.execute(BEAT, beat.node, beat.at, beat.body, beat.backlog, beat.problems)

    async def beats(self) -> list[Beat]:
        return [Beat(*row) for row in await self._sql.fetch(BEATS)]


def _ordered(row: Row) -> Ordered:
    """Of node, command as JSON, state, created, changed, words, taken."""
    _, body, *rest = row
    return Ordered(msgspec.json.decode(body, type=Command), *rest)


def heartbeat_of(body: bytes | None) -> wire.Heartbeat | None:
    """Of `Beat.body`; None without one, and for what another release kept: one node must not hide the others."""
    try:
        return msgspec.json.decode(body, type=wire.Heartbeat) if body else None
    except msgspec.MsgspecError:
        return None
