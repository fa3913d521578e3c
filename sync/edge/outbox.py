"""What the engine needs of the buffer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

from gateway.core.model import Event, Layout, Record
from gateway.core.span import Span

Kind = Literal["records", "events"]


class Head(Protocol):
    """A number that only grows, as the buffer commits."""

    @property
    def reached(self) -> int: ...

    async def wait_beyond(self, seen: int) -> int: ...


class Refused(Protocol):
    """A record or an event in quarantine."""

    @property
    def id(self) -> int: ...
    @property
    def epoch(self) -> str: ...
    @property
    def content(self) -> Record | Event:
        """Raises ValueError where a disk has spoilt it."""
        ...


class Quarantine(Protocol):
    """Where goes what the hub refuses for good. Its methods raise StorageError."""

    @property
    def count(self) -> int: ...
    @property
    def asked(self) -> Head:
        """Grows when something is to be sent again."""
        ...

    async def add(self, epoch: str, refused: Iterable[tuple[Record | Event, str]], at: int) -> None: ...
    async def wanted(self, kind: Kind, limit: int) -> Sequence[Refused]: ...
    async def drop(self, ids: Iterable[int]) -> None: ...


class Outbox(Protocol):
    """What reads it raises StorageError."""

    @property
    def epoch(self) -> str: ...
    @property
    def generation(self) -> int:
        """Grows when the spans that are kept are others than those last heard of: another file, or a repaired one."""
        ...

    @property
    def layouts(self) -> Mapping[bytes, Layout]: ...
    @property
    def committed(self) -> Head: ...
    @property
    def events_committed(self) -> Head: ...
    @property
    def quarantine(self) -> Quarantine: ...
    async def read(self, wanted: Span, records_max: int) -> tuple[Span, list[bytes]]: ...
    async def read_events(self, wanted: Span, events_max: int) -> list[Event]: ...
    async def measured_at(self, seq: int) -> int:
        """When the record of that seq, or one that was kept with it, was measured; 0 where it is gone."""
        ...

    @property
    def held(self) -> bool:
        """Whether nothing may be sent yet, for its times are still going to be corrected."""
        ...

    async def released(self) -> None:
        """Return when nothing is held any more, until an older file brings more that has to be corrected."""
        ...

    async def spans(self, stream: str) -> list[tuple[int, int | None]]: ...
    def keep_spans(self, stream: str, spans: Sequence[tuple[int, int | None]]) -> None: ...
