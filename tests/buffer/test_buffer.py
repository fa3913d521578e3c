"""The buffer keeps what it has acknowledged, in order, and gives it back however it was sealed."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from gateway.buffer import sealing
from gateway.buffer.buffer import Buffer
from gateway.core import codec
from gateway.core.errors import RefusedFileError, StorageError
from gateway.core.model import Event, Record
from gateway.core.span import Span
from tests.values import METER, meter, power


async def everything(buffer: Buffer, wanted: Span | None = None) -> list[Record]:
    """All that is left of `wanted`, read as the engine reads it."""
    left = wanted or Span(0, buffer.head)
    records: dict[int, Record] = {}
    while left:
        covered, packs = await buffer.read(left, 100)
        for pack in packs:
            records |= {record.seq: record for record in codec.decode(pack)}
        left = Span(covered.hi, left.hi)
    return [records[seq] for seq in sorted(records)]


async def seal(buffer: Buffer) -> int:
    return await buffer.sealing.seal()


@pytest.mark.P1
async def test_what_was_flushed_is_there_after_a_restart_with_its_order_and_epoch(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    buffer.put(METER, [power(5), power(3), power(4)])
    await buffer.flushed()
    epoch = buffer.epoch
    await buffer.close()
    again = await Buffer.open(tmp_path / "b.db")
    assert (again.epoch, again.head) == (epoch, 3)
    assert [(r.seq, r.ts) for r in await everything(again)] == [(0, 5), (1, 3), (2, 4)]
    await again.close()


async def test_closing_flushes_what_was_only_queued(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    buffer.put(METER, [power(1)])
    await buffer.close()
    again = await Buffer.open(tmp_path / "b.db")
    assert again.head == 1
    await again.close()


@pytest.mark.P1
async def test_nothing_that_was_acknowledged_is_lost_by_sigkill(tmp_path: Path) -> None:
    """A writer that is killed at a random moment, ten times; each acknowledgement it printed must hold."""
    script = Path(__file__).with_name("writer.py")
    acknowledged = 0
    for _ in range(10):
        writer = await asyncio.create_subprocess_exec(
            sys.executable,
            script,
            tmp_path / "b.db",
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": "."},
        )
        assert writer.stdout is not None
        for _ in range(random.randint(1, 60)):
            acknowledged = int(await writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = await writer.stdout.read()
        await writer.wait()
        acknowledged = max([acknowledged, *(int(line) for line in rest.splitlines() if line.strip())])
        buffer = await Buffer.open(tmp_path / "b.db")
        records = await everything(buffer)
        await buffer.close()
        assert len(records) >= acknowledged
        assert [record.ts for record in records] == list(range(len(records)))


@pytest.mark.P3
async def test_sealing_changes_neither_order_nor_content(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    layouts = [meter(name) for name in "abc"]
    for second in range(20):
        for layout in layouts:
            buffer.put(layout, [power(1000 * (20 - second), layout=layout)])
        await buffer.flushed()
    before = await everything(buffer)
    assert await seal(buffer) == 20
    assert await seal(buffer) == 0
    assert await everything(buffer) == before
    assert len(before) == 60
    await buffer.close()


async def test_a_segment_is_never_larger_than_one_batch_takes(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    for _ in range(3):
        buffer.put(METER, [power(ms) for ms in range(sealing.RECORDS_MAX // 2)])
        await buffer.flushed()
    assert [await seal(buffer), await seal(buffer), await seal(buffer)] == [10, 5, 0], "a commit is a frame for 5,000"
    await buffer.close()


async def test_a_span_that_begins_inside_a_segment_goes_on_into_the_tail(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    for second in range(6):
        buffer.put(METER, [power(second)])
        await buffer.flushed()
        if second == 2:
            await seal(buffer)
    got = await everything(buffer, Span(1, 5))
    assert {1, 2, 3, 4} <= {record.seq for record in got}
    await buffer.close()


async def test_what_is_sealed_while_it_is_read_is_not_skipped(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    for second in range(300):
        buffer.put(METER, [power(second)])
        await buffer.flushed()
    reading = asyncio.ensure_future(everything(buffer))
    while not reading.done():
        await seal(buffer)
        buffer.put(METER, [power(1000)])
        await buffer.flushed()
    assert {record.seq for record in await reading} >= set(range(300))
    await buffer.close()


@pytest.mark.P3
async def test_history_stands_in_the_order_of_time_however_it_came(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    buffer.put(METER, [power(30), power(10)])
    await buffer.flushed()
    await seal(buffer)
    buffer.put(METER, [power(20), power(5)])
    await buffer.flushed()
    history = await buffer.history("meter", "power", 10, 31)
    assert [row.ts for row in history.rows] == [10, 20, 30]
    await buffer.close()


async def test_events_and_spans_are_kept(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    assert await buffer.spans("records") == [(0, None)]
    buffer.put_event(Event(1, "device_offline", "meter", "no answer"))
    buffer.keep_spans("records", [(3, 5), (9, None)])
    await buffer.close()
    again = await Buffer.open(tmp_path / "b.db")
    assert await again.read_events(Span(0, 9), 10) == [Event(1, "device_offline", "meter", "no answer", 0)]
    assert await again.spans("records") == [(3, 5), (9, None)]
    await again.close()


async def test_a_failed_commit_keeps_its_records_for_the_next_one(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    await buffer._database._writer.execute("PRAGMA query_only = ON")  # as a disk that has become read-only
    buffer.put(METER, [power(1)])
    with pytest.raises(StorageError):
        await buffer.flushed()
    assert buffer.state().error
    buffer.put(METER, [power(2)])
    await buffer._database._writer.execute("PRAGMA query_only = OFF")
    await buffer.flushed()
    assert [record.ts for record in await everything(buffer)] == [1, 2]
    assert not buffer.state().error
    await buffer.close()


async def test_a_file_of_a_newer_release_is_used_where_that_one_says_so(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    buffer.put(METER, [power(1)])
    await of_newer_release(buffer, readable_by=3)
    older = await Buffer.open(tmp_path / "b.db")
    older.put(METER, [power(2)])
    await older.flushed()
    assert [record.ts for record in await everything(older)] == [1, 2]
    await older.close()


async def test_a_file_of_a_newer_release_that_cannot_be_read_is_refused_in_words(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    await of_newer_release(buffer, readable_by=98)
    with pytest.raises(RefusedFileError, match="newer release"):
        await Buffer.open(tmp_path / "b.db")


async def of_newer_release(buffer: Buffer, readable_by: int) -> None:
    await buffer.flushed()
    async with buffer._database.transaction() as db:
        await db.execute("ALTER TABLE frame ADD COLUMN invented_later INTEGER")
        await db.execute("INSERT INTO meta (key, value) VALUES ('readable_by', ?)", (str(readable_by),))
        await db.execute("PRAGMA user_version = 99")
    await buffer.close()
