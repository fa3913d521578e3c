"""What the hub lacks, carried there as a signed file, and the receipt back; real buffer, real door, real commands."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from yarl import URL

from gateway import carryout, carryreceipt
from gateway.buffer.buffer import Buffer
from gateway.config import HubLink
from gateway.core.clock import Clock, SystemClock
from gateway.core.credential import digest
from gateway.core.errors import CodecError
from gateway.core.model import Event, Record
from gateway.core.span import Span
from sync import carry
from sync.hub.app import build_hub
from sync.hub.config import HubConfig, NodeConfig
from sync.hub.store.sqlite import SqliteStore
from tests.buffer.onfile import holdfast, writer
from tests.hub.enrolling import MovedClock
from tests.stored import everything
from tests.sync.parts import SECRET, site, synced, syncing
from tests.values import METER, meter, power

LINK = HubLink(url="http://127.0.0.1:1", node_id="node", secret=SECRET)
KEY = carry.key_of(digest(SECRET))
SOLAR = meter("solar")


@asynccontextmanager
async def hub_of(store: SqliteStore, clock: Clock | None = None) -> AsyncIterator[str]:
    """The whole hub with its sign-in; yields the address of the door for files."""
    nodes = (NodeConfig(id="node", secret_sha256=digest(SECRET)),)
    config = HubConfig(store="", nodes=nodes)
    async with TestServer(build_hub(config, store, clock or SystemClock(), Path(__file__).parent, [])) as server:
        yield str(server.make_url(carry.PATH))


async def brought(url: str, body: bytes | aiohttp.FormData) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.post(url, data=body) as response:
        return response.status, await response.read()


def made(opening: carry.Opening, *batches: carry.Batch, key: bytes = KEY) -> bytes:
    file = io.BytesIO()
    writer = carry.Writer(file, key, opening)
    for batch in batches:
        writer.batch(batch)
    writer.end()
    return file.getvalue()


async def exported(buffer: Buffer, file: Path, most: int = carryout.RECORDS_A_BATCH) -> bytes:
    """On a thread, as the gateway does it."""
    path = buffer._database.path
    await asyncio.to_thread(carryout.export, path, LINK, SystemClock(), file, force=True, most=most)
    return file.read_bytes()


async def fill(buffer: Buffer) -> None:
    """Sealed and unsealed records of two layouts, and two events."""
    for start in range(0, 3000, 500):
        buffer.put(METER, [power(ms) for ms in range(start, start + 500)])
        buffer.put(SOLAR, [power(ms, layout=SOLAR) for ms in range(start, start + 500)])
        await buffer.flushed()
        if start < 2000:
            await buffer.sealing.seal()
    buffer.put_event(Event(1, "first"))
    buffer.put_event(Event(2, "second"))
    await buffer.flushed()


async def at(store: SqliteStore) -> tuple[list[Record], list[Event]]:
    """All that the hub has of the node."""
    records = [one for layout in await store.layouts("node") for one in await store.records("node", layout.id)]
    return records, await store.events("node", 99)


@pytest.mark.P2
async def test_a_site_without_a_line_brings_everything_and_learns_what_was_taken(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store) as url:
        await fill(buffer)
        status, receipt = await brought(url, await exported(buffer, tmp_path / "out"))
        assert status == 200
        records, events = await at(hub.store)
        assert {(r.layout_id, r.ts, r.row) for r in records} == {
            (r.layout_id, r.ts, r.row) for r in await everything(buffer)
        }
        assert [event.kind for event in events] == ["second", "first"]
        await buffer.close()
        found = carryreceipt.read(receipt, LINK)
        assert found.records == 6000
        assert await carryreceipt.acknowledge(tmp_path / "buffer.db", found) == 0
    left = await Buffer.open(tmp_path / "buffer.db")
    assert await left.spans("records") == [(6000, None)]
    assert await left.spans("events") == [(2, None)]
    await left.close()


@pytest.mark.P2
async def test_what_is_taken_twice_or_sent_as_well_changes_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store) as url:
        await fill(buffer)
        file = await exported(buffer, tmp_path / "out")
        await brought(url, file)
        once = await at(hub.store)
        assert (await brought(url, file))[0] == 200
        assert await at(hub.store) == once
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        assert (await brought(url, file))[0] == 200
        assert await at(hub.store) == once


async def test_only_what_is_left_goes_into_the_file(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer)
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        await buffer.flushed()
        buffer.keep_spans("records", [(5500, None)])
        buffer.put_event(Event(3, "third"))
        await buffer.flushed()
        made = carryout.export(tmp_path / "buffer.db", LINK, SystemClock(), tmp_path / "out")
        assert made.records == 500
        batches = list(carry.read(io.BytesIO((tmp_path / "out").read_bytes()), KEY, "batches"))
        assert [batch.type for batch in batches if batch.type != "events"] == ["layouts", "records"]


async def test_a_stranger_who_sends_nothing_holds_nobody_up(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store) as url:
        await fill(buffer)
        _, stalled = await asyncio.open_connection(URL(url).host, URL(url).port)
        stalled.write(f"POST {carry.PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nholdfast".encode())
        await stalled.drain()
        assert (await brought(url, await exported(buffer, tmp_path / "out")))[0] == 200
        stalled.close()
        await stalled.wait_closed()


async def test_a_file_that_hardly_comes_gives_its_turn_to_others(tmp_path: Path) -> None:
    clock = MovedClock()
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store, clock) as url:
        await fill(buffer)
        file = await exported(buffer, tmp_path / "out")

        async def drops() -> AsyncIterator[bytes]:
            yield file[: 2 * carry.OPENING_MAX + 1]
            while True:
                await asyncio.sleep(0)
                clock.later_ms += 50_000
                yield b"x"

        async with aiohttp.ClientSession() as session, session.post(url, data=drops()) as answer:
            assert answer.status == 408
        assert (await brought(url, file))[0] == 200


async def test_each_layout_goes_once(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, _):
        await fill(buffer)
        batches = list(carry.read(io.BytesIO(await exported(buffer, tmp_path / "out", 1000)), KEY, "batches"))
        kinds = [batch.type for batch in batches]
        assert (kinds.count("layouts"), kinds.count("records") > 2) == (1, True)


async def test_times_that_are_going_to_be_corrected_stay_at_home(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, _):
        await fill(buffer)
        async with buffer._database.transaction() as db:
            await db.execute("UPDATE frame SET boot = 1 WHERE lo = (SELECT max(lo) FROM frame)")
            await db.execute("UPDATE segment SET boot = 1 WHERE lo = 0")
            await db.execute("UPDATE event SET boot = 1 WHERE seq = 0")
        made = carryout.export(tmp_path / "buffer.db", LINK, SystemClock(), tmp_path / "out")
        assert (made.records, made.events) == (4000, 1)


@pytest.mark.P11
async def test_a_file_that_was_cut_or_changed_anywhere_is_taken_in_no_part(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store) as url:
        await fill(buffer)
        good = await exported(buffer, tmp_path / "out")
        for place in [*range(0, 200, 7), *range(200, len(good), len(good) // 20), len(good) - 1]:
            flipped = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
            for bad in (flipped, good[:place]):
                status, words = await brought(url, bad)
                assert status in (400, 401), words
        assert (await brought(url, good + b"x"))[0] == 400
        assert b"copy it again" in (await brought(url, good[:-1]))[1], "what to do"
        assert await at(hub.store) == ([], [])


@pytest.mark.P11
async def test_nobody_else_can_sign(tmp_path: Path) -> None:
    async with site(tmp_path) as (_, hub), hub_of(hub.store) as url:
        for node, sha256 in (("node", digest("a stranger's")), ("other", digest(SECRET)), ("other", "0" * 64)):
            file = made(carry.Opening("batches", node, "0" * 16, 0), key=carry.key_of(sha256))
            assert await brought(url, file) == (401, b'{"error":"no node of this hub has signed this file"}')
        assert (await brought(url, made(carry.Opening("receipt", "node", "0" * 16, 0))))[0] == 400


async def test_a_batch_that_the_hub_refuses_stays_with_the_gateway(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store) as url:
        bad = carry.Batch("records", f"{buffer.epoch}:0-9", b"no records")
        good = carry.Batch("events", f"{buffer.epoch}:0-0", b"\x81\xa6events\x90")
        status, receipt = await brought(url, made(carry.Opening("batches", "node", buffer.epoch, 0), bad, good))
        assert status == 200
        taken = carryreceipt.read(receipt, LINK).taken
        assert taken == {"records": [], "events": [Span(0, 0)]}


async def test_a_record_that_the_hub_rejects_is_not_in_the_receipt(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store) as url:
        buffer.put(METER, [power(1), Record(METER.id, 1 << 60, power(2).row), power(3)])
        await buffer.flushed()
        _, receipt = await brought(url, await exported(buffer, tmp_path / "out"))
        found = carryreceipt.read(receipt, LINK)
        assert found.taken["records"] == [Span(0, 1), Span(2, 3)]


async def test_a_browser_sends_it_as_a_form(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store) as url:
        await fill(buffer)
        form = aiohttp.FormData()
        form.add_field("file", await exported(buffer, tmp_path / "out"), filename="out")
        status, receipt = await brought(url, form)
        assert (status, carryreceipt.read(receipt, LINK).records) == (200, 6000)


@pytest.mark.P11
async def test_a_form_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    async with site(tmp_path) as (_, hub), hub_of(hub.store) as url, aiohttp.ClientSession() as session:
        for form in (b"", b"no form", b"--b\r\nno header\r\n\r\n", b"--b\r\n" + b"x" * 20_000 + b"\r\n", b"--b--\r\n"):
            async with session.post(url, data=form, headers=kind) as response:
                assert (response.status, list(await response.json())) == (400, ["error"]), form


async def test_a_receipt_counts_only_for_the_buffer_and_node_that_it_is_of(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store) as url:
        await fill(buffer)
        _, receipt = await brought(url, await exported(buffer, tmp_path / "out"))
    found = carryreceipt.read(receipt, LINK)
    with pytest.raises(CodecError, match="another buffer"):
        await carryreceipt.acknowledge(tmp_path / "new.db", found)
    with pytest.raises(CodecError, match="not signed"):
        carryreceipt.read(receipt, HubLink(url="http://x", node_id="node", secret="sixteen characters"))
    with pytest.raises(CodecError, match="of node node"):
        carryreceipt.read(receipt, HubLink(url="http://x", node_id="mill", secret=SECRET))


async def test_a_hub_that_runs_takes_the_file_through_its_door(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub), hub_of(hub.store) as url:
        await fill(buffer)
        await exported(buffer, tmp_path / "out")
        hub_yaml = tmp_path / "hub.yaml"
        node = f"{{id: node, secret_sha256: {digest(SECRET)}}}"
        hub_yaml.write_text(f"store: hub.db\nport: {URL(url).port}\nnodes: [{node}]\n")
        code, told, err = await holdfast("hub", "import", tmp_path / "out", "--config", hub_yaml)
        assert (code, err) == (0, "")
        assert "from node: 6,000 records are new, 0 were here already" in told
        (tmp_path / "out").write_bytes(b"something else")
        code, _, err = await holdfast("hub", "import", tmp_path / "out", "--config", hub_yaml, "--force")
        assert (code, "not a file of batches" in err) == (1, True)


async def test_the_commands_carry_it_while_the_gateway_writes(tmp_path: Path) -> None:
    secret = "sixteen-characters"
    site_yaml, hub_yaml = tmp_path / "site.yaml", tmp_path / "hub.yaml"
    site_yaml.write_text(f'hub: {{url: "http://127.0.0.1:1", node_id: mill, secret: {secret}}}\n')
    hub_yaml.write_text(f"store: hub.db\nport: 1\nnodes: [{{id: mill, secret_sha256: {digest(secret)}}}]\n")
    out = tmp_path / "mill.carry"
    async with writer(tmp_path / "buffer.db") as said:
        await said.readline()
        code, told, err = await holdfast("sync", "export", out, "--config", site_yaml)
        assert (code, err) == (0, "")
    code, told, err = await holdfast("hub", "import", out, "--config", hub_yaml)
    assert (code, err) == (0, "")
    assert "from mill:" in told
    code, told, err = await holdfast("sync", "receipt", f"{out}.receipt", "--config", site_yaml)
    assert (code, err) == (0, "")
    assert "left to send" in told
    code, told, _ = await holdfast("hub", "import", out, "--config", hub_yaml, "--force")
    assert (code, "0 records are new" in told) == (0, True)
    out.write_bytes(out.read_bytes()[:-1])
    code, _, err = await holdfast("hub", "import", out, "--config", hub_yaml, "--force")
    assert (code, "cut off" in err) == (1, True)
