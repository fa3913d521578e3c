"""While the disk takes nothing, memory is bounded; what is lost is counted and said."""

from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.errors import StorageError
from gateway.core.span import Span
from tests.stored import everything
from tests.values import METER, power


@pytest.mark.P1
async def test_what_does_not_fit_into_memory_is_counted_and_said_when_the_disk_is_back(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "usb" / "b.db")
    buffer._taking.pending_max = 10
    for second in range(25):
        buffer.put(METER, [power(1000 * second)])
        with pytest.raises(StorageError, match="its folder is not there"):
            await buffer.flushed()
    state = buffer.state()
    assert (state.pending, state.dropped) == (10, 15)
    assert "mount the disk" in state.error
    (tmp_path / "usb").mkdir()
    await buffer.heal()
    await buffer.flushed()
    await buffer.flushed()
    assert [record.ts for record in await everything(buffer)] == list(range(15_000, 25_000, 1000))
    told = {event.kind: event.detail for event in await buffer.read_events(Span(0, 9), 9)}
    assert told["readings_lost"].startswith("15 records of 1970-01-01 00:00:00 UTC to 1970-01-01 00:00:14 UTC: ")
    assert "10 records waited in memory" in told["storage_recovered"]
    assert (buffer.state().error, buffer.state().pending) == ("", 0)
    await buffer.close()


async def test_what_is_lost_with_the_process_is_said(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "usb" / "b.db")
    buffer.put(METER, [power(1), power(2)])
    with pytest.raises(StorageError, match="2 records in memory are lost"):
        await buffer.close()


async def test_a_commit_that_failed_and_is_on_the_disk_after_all_is_not_made_twice(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    buffer.put(METER, [power(1), power(2)])
    await buffer.flushed()
    buffer.committed.reached -= 2  # as where COMMIT failed, and the log has it
    buffer._taking._records = [power(1), power(2), power(3)]
    buffer._taking._unsure = buffer._taking._records[0]
    await buffer._opening._attach()
    await buffer.flushed()
    assert [record.ts for record in await everything(buffer)] == [1, 2, 3]
    await buffer.close()


async def test_spans_that_could_not_be_written_are_written_later(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    await buffer._database.alone("PRAGMA query_only = ON")  # as a disk that has become read-only
    buffer.keep_spans("records", [(3, 5), (9, None)])
    with pytest.raises(StorageError):
        await buffer.flushed()
    assert await buffer.spans("records") == [(3, 5), (9, None)]
    await buffer._database.alone("PRAGMA query_only = OFF")
    await buffer.close()
    again = await Buffer.open(tmp_path / "b.db")
    assert await again.spans("records") == [(3, 5), (9, None)]
    await again.close()


async def test_a_file_that_is_damaged_again_at_once_is_not_set_aside_again(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    buffer._database.damage = "as the check finds it"
    await buffer.heal()
    buffer._database.damage = "as the check finds it"
    with pytest.raises(StorageError, match="damaged again so soon"):
        await buffer.heal()
    assert len(list(tmp_path.glob("b.db.damaged-*[0-9]"))) == 1
    buffer._database.damage = ""
    await buffer.close()
