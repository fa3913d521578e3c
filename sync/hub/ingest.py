"""POST /api/v1/ingest: a node's batch, checked, stored, answered; what each part means is in sync/wire.py."""

import asyncio
from collections.abc import Mapping

import msgspec
from aiohttp import web

from gateway.core import codec, credential, packing
from gateway.core.clock import Clock
from gateway.core.errors import CodecError, StorageError
from gateway.core.model import Layout, Record, decode_layout
from sync import wire
from sync.hub.store import Audit, SqliteStore

RECORDS_MAX = 200_000  # of one batch
UNPACKED_MAX = 256 * 1024 * 1024
TS_MAX = 1 << 53  # whole milliseconds that JSON readers keep exactly


class Refused(Exception):
    """The batch is not taken: a status, and an answer that says why."""

    def __init__(self, status: int, error: str, wanted: tuple[str, ...] = ()) -> None:
        super().__init__(error)
        self.status = status
        self.wanted = list(wanted)


class Ingest:
    """The handler; `secrets` has the SHA-256 of each node's secret by node id."""

    def __init__(self, store: SqliteStore, secrets: Mapping[str, str], clock: Clock) -> None:
        self._store = store
        self._secrets = secrets
        self._clock = clock

    async def handle(self, request: web.Request) -> web.Response:
        response = await self._handle(request)
        response.headers[wire.HUB_TIME] = str(self._clock.wall_ms())
        return response

    async def _handle(self, request: web.Request) -> web.Response:
        node = request.headers.get(wire.NODE_ID, "")
        if not credential.matches(request.headers.get(wire.NODE_SECRET, ""), self._secrets.get(node)):
            return _answer(401, wire.Answer(cursor="", error="unknown node or wrong secret"))
        cursor_text = request.headers.get(wire.CURSOR, "")[:80]
        batch_type = request.headers.get(wire.BATCH_TYPE, "")[:20]
        audit = Audit(self._clock.wall_ms(), node, batch_type, cursor_text, request.content_length or 0)
        try:
            audit = await self._take(batch_type, cursor_text, await _body(request), audit)
        except Refused as refused:
            if not refused.wanted:
                await self._store.note(msgspec.structs.replace(audit, error=str(refused)))
            return _answer(refused.status, wire.Answer(cursor_text, wanted=refused.wanted, error=str(refused)))
        except StorageError as error:
            return _answer(503, wire.Answer(cursor_text, error=f"the hub cannot store just now: {error}"))
        return _answer(200, wire.Answer(cursor_text, audit.accepted, audit.duplicate))

    async def _take(self, batch_type: str, cursor_text: str, body: bytes, audit: Audit) -> Audit:
        audit = msgspec.structs.replace(audit, bytes=len(body))
        try:
            cursor = wire.parse_cursor(cursor_text)
            if batch_type == "records":
                batch = msgspec.msgpack.decode(body, type=wire.Records)
                return await self._store.take_records(await self._records(batch, audit.node), audit)
            if batch_type == "layouts":
                encoded = msgspec.msgpack.decode(body, type=wire.Layouts).layouts
                return await self._store.take_layouts([_layout(one) for one in encoded], audit)
            if batch_type == "events":
                events = msgspec.msgpack.decode(body, type=wire.Events).events
                return await self._store.take_events(events, cursor.epoch, audit)
        except (CodecError, ValueError) as error:  # msgspec's errors are ValueErrors
            raise Refused(400, str(error)) from error
        raise Refused(400, f"{wire.BATCH_TYPE}: expected records, layouts or events, got {batch_type!r}")

    async def _records(self, batch: wire.Records, node: str) -> list[Record]:
        if sum(map(packing.unpacked_size, batch.packs)) > UNPACKED_MAX:
            raise Refused(413, f"more than {UNPACKED_MAX} bytes when unpacked")
        records = await asyncio.to_thread(lambda: [record for pack in batch.packs for record in codec.decode(pack)])
        if len(records) > RECORDS_MAX:
            raise Refused(413, f"{len(records)} records; at most {RECORDS_MAX} in one batch")
        layouts = {layout_id: self._store.layout(node, layout_id) for layout_id in {r.layout_id for r in records}}
        if unknown := sorted(layout_id.hex() for layout_id, layout in layouts.items() if layout is None):
            raise Refused(409, "send these layouts first, then the batch again", tuple(unknown))
        for record in records:
            _check(record, layouts[record.layout_id])
        return records


def _check(record: Record, layout: Layout | None) -> None:
    if layout is None or len(record.row) != layout.rows.size:
        raise Refused(400, f"record {record.seq}: a row of {len(record.row)} bytes does not fit its layout")
    if not 0 <= record.ts < TS_MAX:
        raise Refused(400, f"record {record.seq}: {record.ts} is no time in milliseconds since 1970")


def _layout(encoded: bytes) -> Layout:
    layout = decode_layout(encoded)
    if layout.encoded != encoded:
        raise ValueError("a layout that is not in its own encoding: its id would not be its digest")
    return layout


async def _body(request: web.Request) -> bytes:
    """Raises Refused for a body beyond the application's limit, before it is read to its end."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(413, f"a body of more than {wire.BODY_MAX} bytes") from error


def _answer(status: int, answer: wire.Answer) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")
