"""Segments end where five minutes of the clock end, and are neither tiny nor larger than a batch."""

from pathlib import Path

import pytest

from gateway.buffer import sealing
from gateway.buffer.buffer import Buffer
from gateway.bufferfile import looking_at
from gateway.bufferwalk import pieces
from gateway.core import codec, packing
from gateway.core.model import Layout, Point, Record
from gateway.core.rollup import CHUNK_MS
from gateway.core.span import Span
from tests.stored import everything
from tests.values import METER, power

BEGIN = 1000 * CHUNK_MS


async def commit(buffer: Buffer, seconds: range, boot: int | None = None) -> None:
    """One frame a second, as time passes."""
    for second in seconds:
        buffer.put(METER, [power(BEGIN + 1000 * second, 5)])
        await buffer.flushed()
    if boot is not None:
        async with buffer._database.transaction() as db:
            await db.execute("INSERT OR IGNORE INTO boot (id, kernel_id, estimate) VALUES (?, ?, 0)", (boot, str(boot)))
            await db.execute("UPDATE frame SET boot = ? WHERE lo >= ?", (boot, buffer.head - len(seconds)))


async def segments(buffer: Buffer) -> list[tuple[int, int]]:
    return [(lo, hi) for lo, hi in await buffer._database.fetch("SELECT lo, hi FROM segment ORDER BY lo")]


async def test_what_is_sealed_ends_with_five_minutes_of_the_clock_and_the_rest_waits(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    await commit(buffer, range(100, 299))
    assert not await buffer.sealing.step(), "these five minutes still go on"
    await commit(buffer, range(299, 620))
    assert await buffer.sealing.step()
    assert not await buffer.sealing.step()
    assert await segments(buffer) == [(0, 500)]
    assert (await buffer._database.fetch("SELECT count(*) FROM frame"))[0][0] == 20
    await buffer.close()


async def test_few_frames_wait_for_more(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    await commit(buffer, range(0, 99 * 60, 60))
    assert not await buffer.sealing.step()
    await commit(buffer, range(99 * 60, 106 * 60, 60))
    assert await buffer.sealing.step()
    assert await segments(buffer) == [(0, 105)]
    await buffer.close()


async def test_late_records_do_not_move_the_end(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    await commit(buffer, range(0, 150))
    buffer.put(METER, [power(ts, 5) for ts in range(0, BEGIN, CHUNK_MS)])
    await buffer.flushed()
    late = buffer.head
    await commit(buffer, range(150, 299))
    assert not await buffer.sealing.step()
    await commit(buffer, range(299, 310))
    assert await buffer.sealing.step()
    assert await segments(buffer) == [(0, late + 150)]
    assert not await buffer.sealing.step()
    await buffer.close()


async def test_frames_of_two_boots_are_never_in_one_segment(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    await commit(buffer, range(3), boot=1)
    await commit(buffer, range(3, 310))
    while await buffer.sealing.step():
        pass
    assert await segments(buffer) == [(0, 3), (3, 300)]
    rows = await buffer._database.fetch("SELECT boot FROM segment ORDER BY lo")
    assert [row[0] for row in rows] == [1, None]
    await buffer.close()


async def test_the_frame_of_a_long_time_without_a_disk_becomes_several_segments(tmp_path: Path) -> None:
    wide = Layout("wide", "live", tuple(Point(f"p{n}", "f64") for n in range(250)))
    buffer = await Buffer.open(tmp_path / "b.db")
    row = wide.rows.pack([float(n) for n in range(250)])
    buffer.put(wide, [Record(wide.id, BEGIN + n, row) for n in range(10_000)])  # 20 MB
    await buffer.flushed()
    while await buffer.sealing.seal():
        pass
    found = await segments(buffer)
    assert [lo for lo, _ in found[1:]] == [hi for _, hi in found[:-1]]
    assert (found[0][0], found[-1][1]) == (0, 10_000)
    seen = []
    for lo, hi in found:
        _, packs = await buffer.read(Span(lo, hi), 100)
        assert sum(map(packing.unpacked_size, packs)) < 1.1 * sealing.BYTES_MAX
        seen += [record.seq for pack in packs for record in codec.decode(pack)]
    assert sorted(seen) == list(range(10_000))
    await buffer.close()


@pytest.mark.P1
async def test_a_frame_that_cannot_be_read_stays_and_keeps_no_others_from_being_sealed(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    await commit(buffer, range(310))
    async with buffer._database.transaction() as db:
        await db.execute("UPDATE frame SET bytes = x'00' WHERE lo = 7")
    while await buffer.sealing.step():
        pass
    assert await segments(buffer) == [(0, 7), (8, 300)]
    assert (await buffer._database.fetch("SELECT hex(bytes) FROM frame WHERE lo = 7"))[0][0] == "00"
    await buffer.close()


@pytest.mark.P1
async def test_what_is_sealed_behind_a_frame_that_cannot_be_read_is_sent_and_checked_all_the_same(
    tmp_path: Path,
) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    await commit(buffer, range(310))
    async with buffer._database.transaction() as db:
        await db.execute("UPDATE frame SET bytes = x'00' WHERE lo = 7")
    while await buffer.sealing.step():
        pass
    await commit(buffer, range(310, 320))
    assert [record.seq for record in await everything(buffer)] == [seq for seq in range(320) if seq != 7]
    await buffer.close()
    with looking_at(tmp_path / "b.db") as db:
        found = [(piece[0].lo, piece[-1].hi) for piece in pieces(db, 0)]
    assert found == [(0, 7), (7, 8), (8, 300), (300, 320)]
