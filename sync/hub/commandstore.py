"""What the hub keeps of commands and heartbeats; `sqlitecommands.py` and `postgrescommands.py` do."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from gateway.core.model import Command, CommandEnd, CommandResult

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


def ordered_of(row: Sequence[Any]) -> Ordered:
    """Of what the stores' statements ask for: node, command as JSON, state, created, changed, words, taken."""
    _, body, state, created, changed, words, taken = row
    return Ordered(msgspec.json.decode(body, type=Command), state, created, changed, words, taken)


class Beat(msgspec.Struct, frozen=True):
    """The last heartbeat of a node: when it came, and a Heartbeat as JSON."""

    node: str
    at: int
    body: bytes
    backlog: int = 0  # that it speaks of
    problems: int = 0  # so many


class CommandStore(Protocol):
    """All methods raise StorageError; what they change is on the disk when they return."""

    async def order(self, node: str, command: Command, now: int) -> bool:
        """Queue a command; whether its id is new. Where it is not, nothing changes."""
        ...

    async def ordered(self, command_id: str) -> tuple[str, Ordered] | None:
        """A command by its id, with its node."""
        ...

    async def commands(self, node: str, most: int) -> list[Ordered]:
        """A node's commands, newest first."""
        ...

    async def queued(self, node: str, now: int, most: int) -> list[Command]:
        """What the node does not have yet, oldest first; what is too late by now expires."""
        ...

    async def taken(self, node: str, ids: Sequence[str], now: int) -> None:
        """The node has these."""
        ...

    async def ended(self, node: str, results: Sequence[CommandResult], now: int) -> None:
        """What the node says of commands of its own; of each the first word counts."""
        ...

    async def beat(self, beat: Beat) -> None:
        """Keep a heartbeat, in the place of the last one; the node was seen."""
        ...

    async def beats(self) -> list[Beat]: ...
