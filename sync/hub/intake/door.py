"""What a node sends, whichever way it came: checked, stored, answered; what each part means is in sync/wire.py."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from gateway.core import codec, packing
from gateway.core.clock import Clock
from gateway.core.errors import CodecError, StorageError, TooLargeError
from gateway.core.model import Event, Layout, Record, decode_layout
from sync import wire
from sync.hub.store.contract import Audit, Store

log = logging.getLogger(__name__)
RECORDS_MAX = 200_000  # of one batch
UNPACKED_MAX = 256 * 1024 * 1024
SEQ_MAX = 1 << 62
TS_MAX = 1 << 53  # whole milliseconds that JSON readers keep exactly

Handler = Callable[[str, wire.Cursor, bytes], Awaitable[wire.Answer]]
"""Takes node, cursor and body. Raises Refused, StorageError, and ValueError for a body that is none."""
Listener = Callable[[str, Sequence[Event]], Awaitable[None]]
"""Is told of a node's events before they are kept, of some more than once. Raises StorageError; for what else it
raises no event is refused."""


class Refused(Exception):
    """The batch is not taken: a status, and an answer that says why."""

    def __init__(self, status: int, error: str, wanted: tuple[str, ...] = ()) -> None:
        super().__init__(error)
        self.status = status
        self.wanted = list(wanted)


class Takes(Protocol):
    """What each way in needs of the door."""

    async def take(self, node: str, batch_type: str, cursor_text: str, body: bytes) -> wire.Answer:
        """See `Door.take`."""
        ...


class Door:
    """Takes batches of nodes whose secret was checked."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.handlers: dict[str, Handler] = {}  # of the batch types that are no readings
        self.listeners: list[Listener] = []
        self.watchers: list[Callable[[], None]] = []  # are told when records were kept

    async def take(self, node: str, batch_type: str, cursor_text: str, body: bytes) -> wire.Answer:
        """One batch; stored when this returns. Raises Refused, StorageError."""
        audit = Audit(self._clock.wall_ms(), node, batch_type[:20], cursor_text[:80], len(body))
        try:
            return await self._take(batch_type, cursor_text, body, audit)
        except Refused as refused:
            if not refused.wanted:
                await self._store.note(msgspec.structs.replace(audit, error=str(refused)))
            raise

    async def _take(self, batch_type: str, cursor_text: str, body: bytes, audit: Audit) -> wire.Answer:
        try:
            cursor = wire.parse_cursor(cursor_text)
            if batch_type in self.handlers:
                return await self.handlers[batch_type](audit.node, cursor, body)
            if batch_type == "records":
                batch = msgspec.msgpack.decode(body, type=wire.Records)
                records, rejected = await self._records(batch, audit.node)
                audit = msgspec.structs.replace(audit, rejected=len(rejected))
                answer = _answer(cursor_text, await self._store.take_records(records, audit), rejected)
                for watcher in self.watchers:
                    watcher()
                return answer
            if batch_type == "layouts":
                encoded = msgspec.msgpack.decode(body, type=wire.Layouts).layouts
                return _answer(cursor_text, await self._store.take_layouts([_layout(one) for one in encoded], audit))
            if batch_type == "events":
                events = msgspec.msgpack.decode(body, type=wire.Events).events
                good = [event for event in events if _can_be(event)]
                rejected = [wire.Rejection(e.seq, "an impossible time or seq") for e in events if not _can_be(e)]
                audit = msgspec.structs.replace(audit, rejected=len(rejected))
                await self._tell(audit.node, good)
                return _answer(cursor_text, await self._store.take_events(good, cursor.epoch, audit), rejected)
        except (CodecError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors, but of depth
            raise Refused(400, str(error)) from error
        known = ", ".join(["records", "layouts", "events", *self.handlers])
        raise Refused(400, f"{wire.BATCH_TYPE}: expected one of {known}; got {batch_type!r}")

    async def _tell(self, node: str, events: Sequence[Event]) -> None:
        """Raises StorageError."""
        for listener in self.listeners:
            try:
                await listener(node, events)
            except StorageError:
                raise
            except Exception:  # the bulkhead: the events are good, whatever is wrong with who listens
                log.exception("events could not be looked at", extra={"node": node})

    async def _records(self, batch: wire.Records, node: str) -> tuple[list[Record], list[wire.Rejection]]:
        if sum(map(packing.unpacked_size, batch.packs)) > UNPACKED_MAX:
            raise Refused(413, f"more than {UNPACKED_MAX} bytes when unpacked")
        try:
            records = await asyncio.to_thread(_decoded, batch.packs)
        except TooLargeError as error:
            raise Refused(413, f"more than {RECORDS_MAX} records in one batch") from error
        ids = {record.layout_id for record in records}
        sizes = {layout_id: await self._store.row_size(node, layout_id) for layout_id in ids}
        if unknown := sorted(layout_id.hex() for layout_id, size in sizes.items() if size is None):
            raise Refused(409, "send these layouts first, then the batch again", tuple(unknown))
        if all(len(record.row) == sizes[record.layout_id] and 0 <= record.ts < TS_MAX for record in records):
            return records, []
        reasons = [_why_not(record, sizes[record.layout_id]) for record in records]
        good = [record for record, reason in zip(records, reasons, strict=True) if not reason]
        rejected = [wire.Rejection(r.seq, reason) for r, reason in zip(records, reasons, strict=True) if reason]
        return good, rejected


def _decoded(packs: Sequence[bytes]) -> list[Record]:
    """Raises CodecError, and TooLargeError above RECORDS_MAX: a few bytes may say that they are very many."""
    records: list[Record] = []
    for pack in packs:
        records += codec.decode(pack, RECORDS_MAX - len(records))
    return records


def _why_not(record: Record, row_size: int | None) -> str:
    """Why it can never be kept; empty: it can."""
    if len(record.row) != row_size:
        return f"a row of {len(record.row)} bytes does not fit its layout"
    if not 0 <= record.ts < TS_MAX:
        return f"{record.ts} is no time in milliseconds since 1970"
    return ""


def _can_be(event: Event) -> bool:
    """Whether a store can hold it."""
    return 0 <= event.ts < TS_MAX and 0 <= event.seq < SEQ_MAX


def _layout(encoded: bytes) -> Layout:
    layout = decode_layout(encoded)
    if layout.encoded != encoded:
        raise ValueError("a layout that is not in its own encoding: its id would not be its digest")
    return layout


def _answer(cursor: str, audit: Audit, rejected: Sequence[wire.Rejection] = ()) -> wire.Answer:
    return wire.Answer(cursor, audit.accepted, audit.duplicate, list(rejected))
