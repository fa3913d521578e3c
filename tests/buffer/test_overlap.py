"""Where times come a second time, each record of a layout still has its own."""

from pathlib import Path

import msgspec
import pytest

from gateway.buffer.buffer import Buffer
from gateway.buffer.overlap import BLOCKS
from gateway.core.model import DATED
from tests.stored import everything
from tests.values import METER, meter, power

pytestmark = pytest.mark.P5


async def times(buffer: Buffer) -> list[int]:
    return [record.ts for record in await everything(buffer) if record.layout_id == METER.id]


async def test_a_time_that_is_taken_is_left_to_who_has_it(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    other = meter("other")
    buffer.put(METER, [power(1000), power(1001)])
    await buffer.flushed()
    buffer.overlap.begin(2000)
    for again in (1000, 1002, 1000):
        buffer.put(METER, [power(again)])
        buffer.put(other, [power(again, layout=other)])
        await buffer.flushed()
    assert await times(buffer) == [1000, 1001, 1002, 1003, 1004]
    await buffer.close()


async def test_two_of_one_commit_do_not_meet_either(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    buffer.put(METER, [power(1000)])
    await buffer.flushed()
    buffer.overlap.begin(2000)
    buffer.put(METER, [power(1000), power(1001)])
    await buffer.flushed()
    assert await times(buffer) == [1000, 1001, 1002]
    await buffer.close()


async def test_what_a_device_dated_stays_where_it_is(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    buffer.put(METER, [power(1000)])
    await buffer.flushed()
    buffer.overlap.begin(2000)
    buffer.put(METER, [power(1500), msgspec.structs.replace(power(1000), flags=DATED)])
    await buffer.flushed()
    assert await times(buffer) == [1000, 1500, 1000]
    await buffer.close()


async def test_past_those_times_nothing_is_looked_up_any_more(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    buffer.overlap.begin(2000)
    for ts in (1000, 2001):
        buffer.put(METER, [power(ts)])
        await buffer.flushed()
    await buffer.close()
    buffer = await Buffer.open(tmp_path / "buffer.db")
    assert buffer.overlap._until_ms is None
    await buffer.close()


async def test_what_a_commit_looks_up_among_the_stored_is_found_by_an_index(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    plan = [row[3] for row in await buffer._database.fetch(f"EXPLAIN QUERY PLAN {BLOCKS}", (0, 1))]
    assert [step for step in plan if "block" in step and not step.startswith("SEARCH block USING INDEX")] == []
    await buffer.close()


async def test_a_time_is_also_found_in_a_block_of_more_than_a_day(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    buffer.put(METER, [power(1000)])
    await buffer.flushed()
    await buffer.sealing.seal()
    async with buffer._database.transaction() as db:
        await db.execute("UPDATE block SET ts_max = ts_max + 3 * 86400000")
    buffer.overlap.begin(2000)
    buffer.put(METER, [power(1000)])
    await buffer.flushed()
    assert await times(buffer) == [1000, 1001]
    await buffer.close()
