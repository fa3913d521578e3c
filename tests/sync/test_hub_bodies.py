"""What the hub's door takes over HTTP, in which wrapping; and what it does when there is too much."""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
import zstandard
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import codec, packing, varint
from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from gateway.core.errors import CodecError
from gateway.core.model import Record, readings_of
from gateway.running import serve
from sync import wire
from sync.hub.intake.bodies import UNPACKED_MAX, unpacked
from sync.hub.intake.door import Door
from sync.hub.intake.ingest import Ingest
from sync.hub.intake.receiving import ROOM, SMALL_AT_ONCE, Room
from sync.hub.store.contract import Audit
from sync.hub.store.sqlite import SqliteStore
from tests.gateway.ports import free_port
from tests.sync.parts import SECRET, Listed
from tests.values import METER, power

ME = {wire.NODE_ID: "node", wire.NODE_SECRET: SECRET}
NATIVE = ME | {wire.BATCH_TYPE: "records", wire.CURSOR: "0123456789abcdef:0-1"}
JSON = ME | {"Content-Type": "application/json"}
TS = 1_790_000_000_000
ROOF = {"device": "roof", "ts": TS, "values": {"power": 1520, "voltage": 231.5}}


class Patient(SqliteStore):
    """Keeps records when it may."""

    may: asyncio.Event
    asked = 0

    async def take_records(self, records: Sequence[Record], audit: Audit) -> Audit:
        self.asked += 1
        await self.may.wait()
        return await super().take_records(records, audit)


@asynccontextmanager
async def hub(folder: Path, room: Room = ROOM) -> AsyncIterator[tuple[Patient, aiohttp.ClientSession]]:
    store = await Patient.open(folder / "hub.db")
    assert isinstance(store, Patient)
    store.may = asyncio.Event()
    store.may.set()
    app = web.Application()
    ingest = Ingest(Door(store, SystemClock()), Listed({"node": digest(SECRET)}), SystemClock(), room=room)
    app.router.add_post(wire.PATH, ingest.handle)
    async with serve(app, "127.0.0.1", free_port(), unpack=False) as address, aiohttp.ClientSession(address) as http:
        await store.take_layouts([METER], Audit(0, "node", "layouts", "", 0))
        yield store, http
    await store.close()


async def post(http: aiohttp.ClientSession, data: bytes, headers: dict[str, str]) -> tuple[int, wire.Answer]:
    async with http.post(wire.PATH, data=data, headers=headers) as response:
        return response.status, msgspec.json.decode(await response.read(), type=wire.Answer)


def batch(*records: Record) -> bytes:
    return msgspec.msgpack.encode(wire.Records([codec.encode(records, {METER.id: METER})]))


async def stored(store: SqliteStore, device: str) -> list[dict[str, object]]:
    """Every record of a device: its values by key, and its time."""
    found = []
    for layout in await store.layouts("node"):
        if layout.device == device:
            for record in await store.records("node", layout.id):
                values: dict[str, object] = {reading.key: reading.value for reading in readings_of(layout, record)}
                found.append(values | {"ts": record.ts})
    return found


@pytest.mark.parametrize(
    "wrapped",
    [
        (lambda body: body, "identity"),
        (gzip.compress, "gzip"),
        (zstandard.compress, "zstd"),
        (lambda body: zstandard.ZstdCompressor(write_content_size=False).compress(body), "ZSTD"),
    ],
)
async def test_a_body_is_taken_in_each_wrapping(tmp_path: Path, wrapped: tuple[object, str]) -> None:
    wrap, encoding = wrapped
    assert callable(wrap)
    async with hub(tmp_path) as (store, http):
        status, answer = await post(http, wrap(batch(power(1))), NATIVE | {"Content-Encoding": encoding})
        assert (status, answer.accepted) == (200, 1)
        status, answer = await post(
            http, wrap(json.dumps({"records": [ROOF]}).encode()), JSON | {"Content-Encoding": encoding}
        )
        assert (status, answer.accepted) == (200, 1)
        assert await stored(store, "roof") == [{"power": 1520, "voltage": 231.5, "ts": TS}]


BODY = batch(power(1))


@pytest.mark.P2
@pytest.mark.parametrize(
    ("body", "encoding", "status", "words"),
    [
        (gzip.compress(BODY)[:-9], "gzip", 400, "cut off"),
        (gzip.compress(BODY)[:-1], "gzip", 400, "cut off"),
        (gzip.compress(BODY) + b"more", "gzip", 400, "behind its end"),
        (zstandard.compress(BODY)[:-1], "zstd", 400, "cut off"),
        (zstandard.compress(BODY) + b"more", "zstd", 400, "behind its end"),
        (b"", "gzip", 400, "cut off"),
        (b"", "zstd", 400, "cut off"),
        (BODY, "gzip", 400, "not sound gzip"),
        (BODY, "zstd", 400, "not sound zstd"),
        (BODY, "br", 400, "expected gzip, zstd or none; got 'br'"),
        (gzip.compress(bytes(UNPACKED_MAX + 1)), "gzip", 413, "when unpacked"),
        (zstandard.compress(bytes(UNPACKED_MAX + 1)), "zstd", 413, "when unpacked"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_what_was_cut_off_or_is_too_large_is_refused_whole(
    tmp_path: Path, body: bytes, encoding: str, status: int, words: str
) -> None:
    async with hub(tmp_path) as (store, http):
        answered = await post(http, body, NATIVE | {"Content-Encoding": encoding})
        assert answered[0] == status
        assert words in answered[1].error
        assert answered[1].cursor == NATIVE[wire.CURSOR]
        assert await store.records("node", METER.id) == []


@pytest.mark.P2
@given(st.binary(max_size=300), st.data())
def test_a_packed_body_is_what_was_packed_or_an_error(plain: bytes, data: st.DataObject) -> None:
    for encoding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        packed = pack(plain)
        assert unpacked(packed, encoding) == plain
        with pytest.raises(CodecError):
            unpacked(packed[: data.draw(st.integers(0, len(packed) - 1))], encoding)
        with pytest.raises(CodecError):
            unpacked(packed + data.draw(st.binary(min_size=1, max_size=9)), encoding)


@pytest.mark.P2
async def test_records_as_json_are_kept_once_with_what_is_missing_missing(tmp_path: Path) -> None:
    later = {"device": "roof", "ts": TS + 1000, "values": {"voltage": None, "power": 0}}
    cellar = {"device": "cellar", "group": "slow", "ts": TS, "values": {"level": 2}}
    async with hub(tmp_path) as (store, http):
        body = json.dumps({"records": [ROOF, later, cellar, ROOF]}).encode()
        status, answer = await post(http, body, JSON)
        assert (status, answer.accepted, answer.duplicate) == (200, 3, 1)
        assert answer.cursor == "0000000000000000:0-4"
        status, answer = await post(http, body, JSON | {wire.CURSOR: "0123456789abcdef:7-11"})
        assert (status, answer.accepted, answer.duplicate) == (200, 0, 4)
        assert answer.cursor == "0123456789abcdef:7-11"
        assert await stored(store, "roof") == [
            {"power": 1520, "voltage": 231.5, "ts": TS},
            {"power": 0, "voltage": None, "ts": TS + 1000},
        ]
        assert len(await store.layouts("node")) == 3, "the order of the keys is nothing"
        assert await stored(store, "cellar") == [{"level": 2, "ts": TS}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b"\xff", "malformed"),
        (b'{"records": [{"device": "roof", "ts": 1}]}', "missing required field `values` - at `$.records[0]`"),
        (b'{"records": [{"device": "roof", "ts": 1, "values": {}}]}', "at `$.records[0].values`"),
        (b'{"records": [{"device": "roof", "ts": 1, "values": {"a": "much"}}]}', "Expected `float | null`"),
        (b'{"records": [{"device": "a/b", "ts": 1, "values": {"a": 1}}]}', "at `$.records[0].device`"),
        (b'{"records": [{"device": "roof", "ts": -1, "values": {"a": 1}}]}', "records[0].ts: -1 is no time"),
        (b'{"records": [{"device": "roof", "ts": 1, "values": {"a": 1}, "unit": "W"}]}', "unknown field `unit`"),
        (b'{"records": [{"device": "roof", "ts": 1790000000, "values": {"a": 1}}]}', "are these seconds?"),
    ],
)
async def test_json_that_is_no_batch_is_refused_by_its_place(tmp_path: Path, body: bytes, words: str) -> None:
    async with hub(tmp_path) as (store, http):
        status, answer = await post(http, body, JSON)
        assert status == 400
        assert words in answer.error
        assert await store.layouts("node") == [METER]


def millions() -> bytes:
    """A pack of a few bytes that says that it is of a million records."""
    count, out = codec.RECORDS_MAX, bytearray([codec.VERSION, 1])
    out += METER.id
    varint.put(out, 1)
    varint.put(out, count)
    out += bytes([1, 1, 0])
    varint.put(out, count)
    for _ in range(2):
        varint.put_curve(out, range(count))
    return packing.pack(bytes(out) + bytes(2 * count))


async def test_more_records_than_a_batch_may_have_are_refused_before_they_are_made(tmp_path: Path) -> None:
    body = msgspec.msgpack.encode(wire.Records([millions()] * 20))
    assert len(body) < 5000
    async with hub(tmp_path) as (_, http):
        tracemalloc.start()
        status, answer = await post(http, body, NATIVE)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (status, answer.cursor) == (413, NATIVE[wire.CURSOR])
        assert peak < 64 * 1024 * 1024


async def test_json_that_is_small_only_while_it_is_packed_is_refused_before_it_is_read(tmp_path: Path) -> None:
    body = b'{"records": [' + b",".join([json.dumps(ROOF).encode()] * 300_000) + b"]}"
    async with hub(tmp_path) as (_, http):
        status, _ = await post(http, zstandard.compress(body), JSON | {"Content-Encoding": "zstd"})
        assert status == 413


async def test_json_that_does_not_say_so_is_told_to(tmp_path: Path) -> None:
    async with hub(tmp_path) as (_, http):
        form = ME | {"Content-Type": "application/x-www-form-urlencoded"}  # what curl says by itself
        status, answer = await post(http, b'{"records": []}', form)
        assert (status, answer.error.startswith("expected Content-Type: application/json")) == (400, True)


async def test_an_empty_list_is_a_batch_and_other_types_do_not_come_as_json(tmp_path: Path) -> None:
    async with hub(tmp_path) as (_, http):
        assert (await post(http, b'{"records": []}', JSON))[0] == 200
        assert (await post(http, b'{"records": []}', JSON | {wire.BATCH_TYPE: "events"}))[0] == 400


async def test_a_record_that_can_never_be_kept_is_named_by_its_place(tmp_path: Path) -> None:
    async with hub(tmp_path) as (_, http):
        status, answer = await post(http, json.dumps({"records": [ROOF, ROOF | {"ts": 1 << 60}]}).encode(), JSON)
        assert (status, answer.accepted) == (200, 1)
        assert [rejection.seq for rejection in answer.rejected] == [1]


@pytest.mark.parametrize("name", [wire.CURSOR, wire.BATCH_TYPE, "Content-Encoding", "Content-Type"])
async def test_headers_that_are_no_text_are_the_senders_fault(tmp_path: Path, name: str) -> None:
    async with hub(tmp_path) as (store, http):
        head = "".join(f"{key}: {value}\r\n" for key, value in NATIVE.items() if key != name)
        async with speaking(http, head.encode() + f"{name}: \xff\xe9".encode("latin-1"), 0) as (reader, _):
            assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        assert await store.records("node", METER.id) == []


@asynccontextmanager
async def speaking(
    http: aiohttp.ClientSession, headers: bytes, length: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which the head of a batch has been sent, byte by byte as it is given."""
    address = http._base_url
    assert address is not None
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"POST %s HTTP/1.1\r\nHost: hub\r\n%s\r\n" % (wire.PATH.encode(), headers))
    writer.write(b"Content-Length: %d\r\n\r\n" % length)
    yield reader, writer
    writer.close()
    await writer.wait_closed()


async def test_the_hub_sheds_large_bodies_before_its_memory_is_full_and_takes_the_present(tmp_path: Path) -> None:
    large = bytes(700_000)
    async with hub(tmp_path, Room(bytes=1_000_000, small=1000)) as (_, http):
        head = "\r\n".join(f"{key}: {value}" for key, value in NATIVE.items()).encode()
        async with speaking(http, head, len(large)) as (reader, writer):
            writer.write(large[:600_000])
            await writer.drain()
            while (await post(http, large, NATIVE))[0] != 429:  # until the first one's has come in
                await asyncio.sleep(0)
            assert (await post(http, BODY, NATIVE))[0] == 200
            writer.write(large[600_000:])
            assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        assert (await post(http, large, NATIVE))[0] == 400, "there is room again, and it is no batch"


async def test_a_sender_that_breaks_off_leaves_room_behind(tmp_path: Path) -> None:
    large = bytes(700_000)
    async with hub(tmp_path, Room(bytes=1_000_000)) as (_, http):
        head = "\r\n".join(f"{key}: {value}" for key, value in NATIVE.items()).encode()
        async with speaking(http, head, len(large)) as (_, writer):
            writer.write(large[:600_000])
            await writer.drain()
            while (await post(http, large, NATIVE))[0] != 429:
                await asyncio.sleep(0)
        while (await post(http, large, NATIVE))[0] != 400:
            await asyncio.sleep(0)


async def test_who_would_wait_too_long_is_told_to_come_again(tmp_path: Path) -> None:
    async with hub(tmp_path, Room(turn_s=0.01)) as (store, http):
        store.may.clear()
        first = [asyncio.create_task(post(http, batch(power(ms)), NATIVE)) for ms in range(SMALL_AT_ONCE)]
        while store.asked < SMALL_AT_ONCE:
            await asyncio.sleep(0)
        status, answer = await post(http, batch(power(99)), NATIVE)
        assert (status, answer.error) == (429, "too many batches are waiting to be stored")
        store.may.set()
        assert [status for status, _ in await asyncio.gather(*first)] == [200] * SMALL_AT_ONCE
        assert (await post(http, batch(power(99)), NATIVE))[0] == 200


async def test_the_log_tells_that_nodes_are_turned_away_but_not_of_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with hub(tmp_path) as (_, http):
        for _ in range(20):
            assert (await post(http, BODY, NATIVE | {wire.NODE_SECRET: "wrong"}))[0] == 401
    told = [record.__dict__ for record in caplog.records if record.message == "node turned away"]
    assert [(one["node"], one["status"]) for one in told] == [("node", 401)]
    assert "wrong" not in caplog.text.replace("wrong secret", "")


async def test_who_is_turned_away_comes_again_at_another_time_than_the_others(tmp_path: Path) -> None:
    times = []
    async with hub(tmp_path, Room(bytes=0, small=0)) as (_, http):
        for _ in range(40):
            async with http.post(wire.PATH, data=BODY, headers=NATIVE) as response:
                assert response.status == 429
                times.append(int(response.headers["Retry-After"]))
    assert min(times) >= 5
    assert max(times) <= 60
    assert len(set(times)) > 10
