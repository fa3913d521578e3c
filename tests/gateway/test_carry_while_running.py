"""A file for the hub, and its receipt, through a gateway that runs."""

import asyncio
import contextlib
import io
import json
import sys
from pathlib import Path

import pytest

from gateway import carryout
from gateway.buffer.buffer import Buffer
from gateway.config import HubLink
from gateway.controlsocket import ask
from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from gateway.core.errors import StorageError
from gateway.core.span import Span
from sync import carry
from sync.edge.outgoing import Outgoing
from tests.buffer.onfile import HUB, holdfast, opened, site_yaml
from tests.e2e.parts import part
from tests.gateway.ports import free_port
from tests.stored import everything
from tests.values import METER, power

LINK = HubLink(url="http://127.0.0.1:1", node_id="mill", secret="sixteen-characters")
KEY = carry.key_of(digest(LINK.secret))
OTHER_PROCESS = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    print(db.execute("SELECT count(*) FROM meta").fetchone() is not None)
db.close()
"""


async def fill(buffer: Buffer) -> None:
    buffer.put(METER, [power(second * 1000, second) for second in range(500)])
    await buffer.flushed()
    await buffer.sealing.seal()
    buffer.put(METER, [power(second * 1000, second) for second in range(500, 600)])
    await buffer.flushed()


@pytest.mark.P2
async def test_a_running_gateway_gives_the_file_and_takes_the_receipt(tmp_path: Path) -> None:
    site = site_yaml(tmp_path, f"{HUB}page: {{port: {free_port()}}}\n")
    hub = tmp_path / "hub.yaml"
    hub.write_text(f"store: hub.db\nport: 1\nnodes: [{{id: mill, secret_sha256: {digest(LINK.secret)}}}]\n")
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer)
    async with part(tmp_path, "run", "site.yaml"):
        file = tmp_path / "unsent.carry"
        file.write_bytes(await asyncio.to_thread(ask, tmp_path / "site.yaml", "GET", "/api/v1/sync/carry") or b"")
        code, out, err = await holdfast("hub", "import", file, "--config", hub)
        assert (code, "600 records are new" in out) == (0, True), err
        code, out, _ = await holdfast("sync", "receipt", f"{file}.receipt", "--config", site)
        assert (code, "the hub has 600 records of it; 0 are left to send" in out) == (0, True)
        code, _, err = await holdfast("sync", "receipt", file, "--config", site)
        assert (code, "unsent.carry: no receipt" in err) == (1, True)
        with (tmp_path / "strange").open("wb") as strange:
            carry.Writer(strange, KEY, carry.Opening("receipt", "mill", "0" * 16, 0)).end()
        code, _, err = await holdfast("sync", "receipt", tmp_path / "strange", "--config", site)
        assert (code, "of another buffer than this one" in err) == (1, True)
    found = json.loads((await holdfast("buffer", "stat", "--config", site, "--json"))[1])
    assert found["unsent"]["records"]["count"] == 0


async def test_the_streamed_file_is_the_exported_one(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer)
        pieces = await asyncio.to_thread(lambda: list(carryout.streamed(buffer.path, LINK, SystemClock())))
        await asyncio.to_thread(carryout.export, buffer.path, LINK, SystemClock(), tmp_path / "file")
    streamed, exported = io.BytesIO(b"".join(pieces)), io.BytesIO((tmp_path / "file").read_bytes())
    assert len(pieces) > 1
    assert list(carry.read(streamed, KEY, "batches")) == list(carry.read(exported, KEY, "batches"))


@pytest.mark.P1
async def test_after_a_download_no_other_process_takes_the_file_for_nobodys(tmp_path: Path) -> None:
    """Closing a handle of our own would drop our locks: the next process to close the file would remove its log."""
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer)
        await asyncio.to_thread(lambda: list(carryout.streamed(buffer.path, LINK, SystemClock())))
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER_PROCESS, buffer.path)
        assert await other.wait() == 0
        assert (tmp_path / "buffer.db-wal").exists()
        buffer.put(METER, [power(700_000, 1)])
        await buffer.flushed()
        assert len(await everything(buffer)) == 601


async def test_a_download_that_is_given_up_leaves_nothing_open(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer)
        pieces = carryout.streamed(buffer.path, LINK, SystemClock())
        with contextlib.closing(pieces):
            next(pieces)
        assert list(pieces) == []


@pytest.mark.P1
async def test_what_is_acknowledged_of_another_file_is_still_sent(tmp_path: Path) -> None:
    """As where the file was set aside after the receipt was looked at."""
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer)
        outgoing = Outgoing("records", buffer)
        await outgoing.restore()
        with pytest.raises(StorageError):
            await outgoing.acknowledged("0" * 16, [Span(0, 600)])
        assert outgoing.spans == (Span(0, 600),)
        assert await outgoing.acknowledged(buffer.epoch, [Span(0, 590)]) == (Span(590, 600),)
        await buffer.flushed()
        assert await buffer.spans("records") == [(590, None)]


async def test_before_the_spans_were_taken_up_a_receipt_counts_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer)
        outgoing = Outgoing("records", buffer)
        assert await outgoing.acknowledged(buffer.epoch, [Span(5, 600)]) == (Span(0, 5),)
        await outgoing.restore()
        assert outgoing.spans == (Span(0, 5),)
