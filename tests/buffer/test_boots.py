"""Times that were not known when they were stamped are corrected, or say that they are not (P5)."""

from pathlib import Path

import pytest

from gateway.core.database import Database
from gateway.core.model import BACKFILLED, DATED, UNCERTAIN
from tests.machine import TRUE_MS, Machine, Process
from tests.stored import everything
from tests.values import METER, power

pytestmark = pytest.mark.P5
HOUR = 3600


def counted(records) -> dict[int, int]:
    """By the meter's count: the time that is kept."""
    return {METER.rows.unpack(record.row)[0]: record.ts for record in records}


async def stop(process: Process) -> None:
    await process.buffer.close()


async def test_an_hour_of_readings_since_a_boot_in_1970_gets_its_true_times(tmp_path: Path) -> None:
    machine = Machine()
    process = await Process.start(machine, tmp_path / "b.db")
    await process.poll_for(0, HOUR)
    await process.buffer.flushed()
    assert process.buffer.held
    kept = await everything(process.buffer)
    assert {record.flags for record in kept} == {UNCERTAIN}
    assert max(record.ts for record in kept) < 2 * HOUR * 1000
    process.poll(HOUR)  # not written yet when the time becomes known
    machine.synchronise()
    process.poll(HOUR + 1)
    await process.settle()
    assert not process.buffer.held
    kept = await everything(process.buffer)
    assert counted(kept) == process.true
    assert {record.flags for record in kept} == {0}
    blocks = await process.buffer._database.fetch("SELECT ts_min, ts_max, bytes FROM block")
    assert len(blocks) > 1
    assert all(TRUE_MS <= first <= last <= machine.true_ms for first, last, _ in blocks)
    await stop(process)


async def test_what_was_stamped_before_and_arrives_after_the_time_became_known_is_corrected(tmp_path: Path) -> None:
    machine = Machine()
    process = await Process.start(machine, tmp_path / "b.db")
    machine.go_on(10)
    record = power(process.clock.wall_ms(), 1)
    process.true[1] = machine.true_ms
    machine.go_on(2)
    machine.synchronise()
    process.clock.look()
    process.site.took(METER, record)
    process.poll(2)
    await process.settle()
    assert counted(await everything(process.buffer)) == process.true
    await stop(process)


async def test_a_device_that_says_the_time_itself_is_believed_and_never_moved(tmp_path: Path) -> None:
    machine = Machine()
    process = await Process.start(machine, tmp_path / "b.db")
    process.poll(0)
    for flags in (DATED, BACKFILLED):
        process.site.took(METER, power(TRUE_MS - flags, flags).__replace__(flags=flags) if False else _flagged(flags))
    await process.buffer.flushed()
    machine.go_on(5)
    machine.synchronise()
    process.clock.look()
    await process.settle()
    kept = counted(await everything(process.buffer))
    assert kept == {0: TRUE_MS, DATED: TRUE_MS - DATED, BACKFILLED: TRUE_MS - BACKFILLED}
    await stop(process)


def _flagged(flags: int):
    import msgspec

    return msgspec.structs.replace(power(TRUE_MS - flags, flags), flags=flags)
