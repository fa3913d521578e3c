"""Edge and hub together: a real buffer, the real engine, the real door, over real HTTP."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import zstandard
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.core import codec, packing, varint
from gateway.core.model import Event, Layout, Point, Record
from sync import wire
from tests.hub.stores import nodes
from tests.sync.parts import SECRET, Hub, site, synced, syncing
from tests.values import METER, meter, power


async def test_records_and_their_layouts_reach_the_hub(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), syncing(buffer, hub) as engine:
        buffer.put(METER, [power(ms) for ms in range(100)])
        await buffer.flushed()
        await synced(engine, buffer)
        assert await hub.times() == list(range(100))
        assert await hub.store.layouts("node") == [METER]


@pytest.mark.P2
@pytest.mark.parametrize(
    "trouble",
    [
        "lose the answer",
        lambda: web.Response(status=503, headers={"Retry-After": "0"}),
        lambda: web.Response(status=500, text="<html>"),
        lambda: web.Response(status=200, text="<html>please sign in</html>", content_type="text/html"),
        lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}),
        lambda: web.Response(status=401),
        lambda: web.Response(status=413),
        lambda: web.json_response({"cursor": "0000000000000000:0-9", "accepted": 9}),
    ],
    ids=["lost answer", "503", "500", "sign-in page", "redirect", "401", "413", "another batch's answer"],
)
async def test_each_reading_arrives_once_whatever_the_hub_answers_first(
    tmp_path: Path, trouble: Callable[[], web.Response] | str
) -> None:
    async with site(tmp_path) as (buffer, hub):
        hub.spoil = [trouble, "as it is", trouble]
        buffer.put(METER, [power(ms) for ms in range(50)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        assert not hub.spoil
        assert await hub.times() == list(range(50))


@pytest.mark.P4
async def test_after_an_outage_the_newest_goes_first_and_the_rest_from_the_oldest_on(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        for batch in range(12):
            buffer.put(METER, [power(1000 * batch + ms) for ms in range(1000)])
            await buffer.flushed()
            if batch in (3, 7):
                await buffer.sealing.seal()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        lanes = [batch.removeprefix("records ") for batch in hub.batches if batch.startswith("records")]
        assert lanes[0] == lanes[1], "the first try asked for the layout"
        assert lanes[1:] == ["8000-12000", "0-8000"], "small blocks go together"
        assert await hub.times() == list(range(12_000))


async def test_a_restart_of_the_gateway_sends_only_what_is_left(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        buffer.put(METER, [power(1)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        buffer.put(METER, [power(2)])
        await buffer.flushed()
        hub.batches.clear()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        assert hub.batches[0] == "records 1-2"


async def test_events_reach_the_hub(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), syncing(buffer, hub):
        buffer.put_event(Event(7, "device_offline", "meter", "no answer"))
        await buffer.flushed()
        while not await hub.store.events("node", 10):
            await asyncio.sleep(0)
        assert (await hub.store.events("node", 10))[0].kind == "device_offline"


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[tuple[TestClient[web.Request, web.Application], Hub]]:
    async with site(folder) as (_, hub), TestClient(hub.server) as client:
        yield client, hub


def headers(**changed: str) -> dict[str, str]:
    usual = {
        wire.NODE_ID: "node",
        wire.NODE_SECRET: SECRET,
        wire.BATCH_TYPE: "records",
        wire.CURSOR: "0123456789abcdef:0-1",
    }
    return usual | {getattr(wire, name): value for name, value in changed.items()}


def body(records: list[Record], shape: Layout = METER) -> bytes:
    """A batch of the meter's records; another `shape` makes it one that does not fit its layout."""
    return msgspec.msgpack.encode(wire.Records([codec.encode(records, {METER.id: shape})]))


@pytest.mark.P11
@pytest.mark.parametrize(
    "changed",
    [{"NODE_SECRET": "wrong"}, {"NODE_ID": "nobody"}, {"NODE_SECRET": ""}, {"NODE_ID": "nobody", "NODE_SECRET": ""}],
)
async def test_a_wrong_secret_or_node_is_turned_away_alike(tmp_path: Path, changed: dict[str, str]) -> None:
    async with door(tmp_path) as (client, hub):
        response = await client.post(wire.PATH, data=body([power(1)]), headers=headers(**changed))
        assert response.status == 401
        assert await response.json() == {"cursor": "", "error": "unknown node or wrong secret"}
        assert await nodes(hub.store, 0) == []


@pytest.mark.P11
async def test_a_secret_that_is_not_utf_8_is_wrong_and_no_more(tmp_path: Path) -> None:
    async with door(tmp_path) as (client, _):
        assert client.port is not None
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = f"POST {wire.PATH} HTTP/1.1\r\nHost: hub\r\n{wire.BATCH_TYPE}: records\r\n{wire.CURSOR}: 0:0-1\r\n"
        secret = f"{wire.NODE_ID}: node\r\n{wire.NODE_SECRET}: ".encode() + b"\xff\xe9"
        writer.write(head.encode() + secret + b"\r\nContent-Length: 0\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
        writer.close()
        await writer.wait_closed()


async def test_unknown_layouts_are_asked_for_and_nothing_is_stored(tmp_path: Path) -> None:
    async with door(tmp_path) as (client, hub):
        response = await client.post(wire.PATH, data=body([power(1)]), headers=headers())
        assert response.status == 409
        assert (await response.json())["wanted"] == [METER.id.hex()]
        assert await hub.times() == []


def bomb() -> bytes:
    """Two runs of 150,000 records, as far as the second one's head: whoever goes on behind that finds it cut off."""
    count = bytearray()
    varint.put(count, 150_000)
    run = bytes(count) + bytes([1, 1, 0]) + bytes(count)
    return packing.pack(bytes([codec.VERSION, 1]) + bytes(8) + bytes([2]) + run + bytes(4 * 150_000) + run)


WIDE = Layout("meter", "live", (*METER.points, Point("more", "u64")))


@pytest.mark.parametrize(
    ("data", "changed", "status"),
    [
        (b"", {}, 400),
        (b"\xff" * 40, {}, 400),
        (body([power(1)])[:-3], {}, 400),
        (msgspec.msgpack.encode({"packs": [b"not a pack"]}), {}, 400),
        (msgspec.msgpack.encode({"packs": [], "more": 1}), {}, 400),
        (msgspec.msgpack.encode({"packs": [zstandard.compress(bytes(65 * 1024 * 1024))]}), {}, 400),
        (msgspec.msgpack.encode({"packs": [zstandard.compress(bytes(60 * 1024 * 1024))] * 5}), {}, 413),
        (msgspec.msgpack.encode({"packs": [bomb()]}), {}, 413),
        (body([power(1)]), {"BATCH_TYPE": "wishes"}, 400),
        (body([power(1)]), {"CURSOR": "nonsense"}, 400),
        (body([power(1)]), {"CURSOR": "0123456789abcdef:-4-2"}, 400),
        (msgspec.msgpack.encode({"layouts": [b"{}"]}), {"BATCH_TYPE": "layouts"}, 400),
        (msgspec.msgpack.encode({"layouts": [b" " + METER.encoded]}), {"BATCH_TYPE": "layouts"}, 400),
        (msgspec.msgpack.encode({"events": [1]}), {"BATCH_TYPE": "events"}, 400),
        (io.BytesIO(bytes(wire.BODY_MAX + 1)), {}, 413),
    ],
)  # fmt: skip
async def test_a_bad_batch_is_refused_with_a_reason_and_the_hub_lives(
    tmp_path: Path, data: bytes | io.BytesIO, changed: dict[str, str], status: int
) -> None:
    async with door(tmp_path) as (client, hub):
        known = msgspec.msgpack.encode(wire.Layouts([METER.encoded]))
        assert (await client.post(wire.PATH, data=known, headers=headers(BATCH_TYPE="layouts"))).status == 200
        response = await client.post(wire.PATH, data=data, headers=headers(**changed))
        assert response.status == status
        assert (await response.json())["error"]
        assert await hub.times() == []
        good = await client.post(wire.PATH, data=body([power(1)]), headers=headers())
        assert await good.json() == {"cursor": "0123456789abcdef:0-1", "accepted": 1}


@pytest.mark.parametrize("bad", [power(-5, 0), Record(METER.id, 1, bytes(WIDE.rows.size))], ids=["time", "row"])
async def test_a_record_that_can_never_be_kept_is_named_and_the_rest_is_taken(tmp_path: Path, bad: Record) -> None:
    async with door(tmp_path) as (client, hub):
        known = msgspec.msgpack.encode(wire.Layouts([METER.encoded]))
        await client.post(wire.PATH, data=known, headers=headers(BATCH_TYPE="layouts"))
        packs = [
            codec.encode([bad], {METER.id: WIDE if len(bad.row) > METER.rows.size else METER}),
            codec.encode([power(1)], {METER.id: METER}),
        ]
        response = await client.post(wire.PATH, data=msgspec.msgpack.encode(wire.Records(packs)), headers=headers())
        answer = msgspec.json.decode(await response.read(), type=wire.Answer)
        assert (answer.accepted, [rejection.seq for rejection in answer.rejected]) == (1, [bad.seq])
        assert await hub.times() == [1]


@pytest.mark.P2
async def test_a_batch_twice_or_cut_otherwise_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    async with door(tmp_path) as (client, hub):
        known = msgspec.msgpack.encode(wire.Layouts([METER.encoded]))
        await client.post(wire.PATH, data=known, headers=headers(BATCH_TYPE="layouts"))
        for records, duplicates in (([3, 1], 0), ([3, 1], 2), ([1, 2, 3], 2)):
            response = await client.post(wire.PATH, data=body([power(ms) for ms in records]), headers=headers())
            answer = await response.json()
            assert answer.get("duplicate", 0) == duplicates
            assert answer.get("accepted", 0) == len(records) - duplicates
        assert await hub.times() == [1, 2, 3]


@pytest.mark.P11
async def test_a_node_cannot_write_into_anothers_series(tmp_path: Path) -> None:
    async with door(tmp_path) as (client, hub):
        known = msgspec.msgpack.encode(wire.Layouts([meter("other").encoded]))
        await client.post(wire.PATH, data=known, headers=headers(BATCH_TYPE="layouts"))
        assert await hub.store.row_size("another node", meter("other").id) is None
