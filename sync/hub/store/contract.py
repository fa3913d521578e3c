"""What the hub needs of a store; `sqlite.py` and `postgres.py` are two of them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from gateway.core.accounts import Account
from gateway.core.model import Event, Layout, Record
from sync.hub.store.chores import Chore
from sync.hub.store.commandstore import CommandStore
from sync.hub.store.sql import Sql

ONLINE_MS = 5 * 60_000  # a node that was silent for longer is offline
AHEAD_MS = 24 * 3_600_000  # a record further ahead of the hub's time is kept, and is not what the node measures now


class Audit(msgspec.Struct, frozen=True):
    """What is kept of each batch; `at` in milliseconds since 1970 UTC."""

    at: int
    node: str
    type: str
    cursor: str
    bytes: int
    accepted: int = 0
    duplicate: int = 0
    error: str = ""
    rejected: int = 0


def newest(times: Iterable[int], now: int) -> int:
    """The latest of `times` that can be; 0 without one. One from the future must not hide all that comes after it."""
    return max((ts for ts in times if ts <= now + AHEAD_MS), default=0)


class Store(Protocol):
    """Each reading once, however often it comes. All methods raise StorageError."""

    @property
    def sql(self) -> Sql:
        """The database, for all that is small."""
        ...

    @property
    def control(self) -> CommandStore:
        """What is kept of commands and heartbeats."""
        ...

    async def row_size(self, node: str, layout_id: bytes) -> int | None:
        """The bytes of a row of this layout; None: the node never sent the layout."""
        ...

    async def take_layouts(self, layouts: Sequence[Layout], audit: Audit) -> Audit:
        """Keep layouts of a node; what is known already is a duplicate."""
        ...

    async def take_records(self, records: Sequence[Record], audit: Audit) -> Audit:
        """Keep records whose layouts are all known; those that are here already are duplicates."""
        ...

    async def take_events(self, events: Sequence[Event], epoch: str, audit: Audit) -> Audit:
        """Keep events; those of the same epoch, seq and time are duplicates."""
        ...

    async def note(self, audit: Audit) -> None:
        """Keep the audit row of a batch that was not taken."""
        ...

    async def records(self, node: str, layout_id: bytes) -> list[Record]:
        """All records of one layout, by time."""
        ...

    async def accounts(self, node: str, wanted: Sequence[tuple[bytes, int]]) -> list[Account]:
        """What is held of each (layout id, begin of an hour in ms), in their order; of what never came nothing."""
        ...

    async def event_accounts(self, node: str, epoch: str, hours: Sequence[int]) -> list[Account]:
        """Likewise of the events of one of the node's buffers, by the begin of an hour in ms."""
        ...

    async def layouts(self, node: str) -> list[Layout]: ...

    async def events(self, node: str, most: int) -> list[Event]:
        """The newest events of a node, newest first."""
        ...

    def chores(self) -> Sequence[Chore]:
        """What the store itself needs done from time to time."""
        ...

    async def close(self) -> None: ...
