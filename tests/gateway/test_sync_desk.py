"""What people are told of the quarantine, from a real buffer."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.model import Event, Record
from gateway.syncdesk import AT_ONCE, SyncDesk
from tests.values import METER, power

EPOCH = "0123456789abcdef"


@pytest.fixture
async def buffer(tmp_path: Path) -> AsyncIterator[Buffer]:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    buffer.put(METER, [power(1000)])  # its layout is known
    await buffer.flushed()
    yield buffer
    await buffer.close()


class NoWay:
    """Meets `gateway.syncdesk.Way`; its file has pieces without end, the second as late as `may_go` says."""

    def __init__(self) -> None:
        self.may_go, self.closed, self.making = threading.Event(), threading.Event(), threading.Event()

    def compare(self) -> None: ...

    async def take_receipt(self, receipt: bytes) -> str:
        return "taken"

    def carry_out(self) -> Generator[bytes, None, None]:
        try:
            yield b"first"
            self.making.set()
            while self.may_go.wait():
                yield b"more"
        finally:
            self.closed.set()


def desk(buffer: Buffer, way: NoWay | None = None) -> SyncDesk:
    return SyncDesk(buffer, way or NoWay())


async def test_records_are_told_by_device_and_values_events_by_kind_and_words(buffer: Buffer) -> None:
    record = msgspec.structs.replace(power(7000, 42), seq=3)
    event = Event(8000, "device_offline", "Barn", "no answer", seq=1)
    await buffer.quarantine.add(EPOCH, [(record, "too early"), (event, "no such kind")], 9000)
    of_event, of_record = await desk(buffer).refused(10)
    assert (of_record.device, of_record.what, of_record.ts, of_record.reason) == ("meter", "live", 7000, "too early")
    assert of_record.content == {"power": 42, "voltage": 230.0}
    assert (of_event.device, of_event.what, of_event.content) == ("Barn", "device_offline", {"detail": "no answer"})
    assert not of_event.again
    await desk(buffer).send_again([of_event.id])
    assert [line.again for line in await desk(buffer).refused(10)] == [True, False]


async def test_what_fits_no_layout_or_was_spoilt_by_a_disk_is_listed_without_content(
    buffer: Buffer, tmp_path: Path
) -> None:
    short, strange = Record(METER.id, 1, b"\1", seq=1), Record(b"8 bytes.", 2, b"\1", seq=2)
    await buffer.quarantine.add(EPOCH, [(short, "short"), (strange, "strange"), (power(3), "spoilt")], 9000)
    with closing(sqlite3.connect(tmp_path / "buffer.db")) as db, db:
        db.execute("UPDATE quarantine SET body = x'c1' WHERE reason = 'spoilt'")
    lines = await desk(buffer).refused(10)
    told = [(line.reason, line.device, line.content) for line in lines]
    assert told == [("spoilt", "meter", {}), ("strange", "", {}), ("short", "meter", {})]


async def test_all_of_a_long_quarantine_is_told_once_the_newest_first(buffer: Buffer) -> None:
    events = [Event(1, "noted", seq=seq) for seq in range(2 * AT_ONCE + 1)]
    await buffer.quarantine.add(EPOCH, [(event, "no") for event in events], 9000)
    told = [line.seq async for line in desk(buffer).all_refused()]
    assert told == list(range(2 * AT_ONCE, -1, -1))


async def test_a_download_that_is_given_up_amid_a_slow_piece_holds_nothing_up_and_is_closed(buffer: Buffer) -> None:
    way = NoWay()
    pieces = desk(buffer, way).carry_out()
    assert await anext(pieces) == b"first"
    waiting = asyncio.ensure_future(anext(pieces))
    assert await asyncio.to_thread(way.making.wait, 30)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)  # returns though the piece is still made
    assert not way.closed.is_set()
    way.may_go.set()
    assert await asyncio.to_thread(way.closed.wait, 30)
