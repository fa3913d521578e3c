"""The buffer stays within its budget and on its disk; who else holds a record decides whether it may go."""

import hashlib
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.buffer import ledger
from gateway.buffer.buffer import Buffer
from gateway.buffer.retention import Limits
from gateway.core.errors import StorageError
from gateway.core.model import Event
from gateway.core.rollup import HOUR_MS
from gateway.core.span import Span
from tests.buffer.stocked import START_MS, acknowledge, opened, roll_up, store, upkeep, watts
from tests.needs import lacks, needs
from tests.stored import everything
from tests.values import METER

SECOND_MS, DAY_MS = 1000, 24 * HOUR_MS


def day(number: int, every_ms: int = 10 * SECOND_MS) -> range:
    return range(START_MS + number * DAY_MS, START_MS + (number + 1) * DAY_MS, every_ms)


@pytest.mark.P6
async def test_what_the_hub_has_goes_first_and_all_that_it_lacks_stays_whole(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(budget=800_000, hub=True))
    for number in range(10):
        await store(buffer, day(number))
    unsent = buffer.head - 3 * len(day(0))
    await acknowledge(buffer, unsent)
    await upkeep(buffer)
    seqs = [record.seq for record in await everything(buffer)]
    assert seqs[-3 * len(day(0)) :] == list(range(unsent, buffer.head))
    assert 0 < seqs[0] < unsent  # the oldest of the rest is gone, not more than needed
    assert seqs == list(range(seqs[0], buffer.head))
    assert buffer.state().thinned_hours == 0
    await buffer.close()


@pytest.mark.P6
async def test_without_a_hub_nothing_is_deleted_for_the_budget(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(budget=700_000))
    for number in range(10):
        await store(buffer, day(number))
    await upkeep(buffer)
    hours = {record.ts // HOUR_MS for record in await everything(buffer)}
    assert len(hours) == 10 * 24
    assert buffer.state().thinned_hours > 0
    await buffer.close()


@pytest.mark.parametrize("hub", [True, False])
async def test_by_age_goes_what_nobody_waits_for(tmp_path: Path, hub: bool) -> None:
    buffer = await opened(tmp_path, Limits(keep_ms=3 * DAY_MS, hub=hub))
    for number in range(10):
        await store(buffer, day(number, HOUR_MS))
    await acknowledge(buffer, 24)  # the first day
    await upkeep(buffer)
    left = {(record.ts - START_MS) // DAY_MS for record in await everything(buffer)}
    assert left == (set(range(1, 10)) if hub else set(range(6, 10)))
    await buffer.close()


async def test_what_has_no_roll_ups_yet_stays(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(budget=700_000, keep_ms=DAY_MS, hub=True))
    for number in range(10):
        await store(buffer, day(number), rolled=False)
    await acknowledge(buffer, buffer.head)
    while await buffer.keeping.step():
        pass
    assert len(await everything(buffer)) == 10 * len(day(0))
    await roll_up(buffer)
    await buffer.upkeep.round()
    assert len(await everything(buffer)) <= 2 * len(day(0))
    await buffer.close()


@pytest.mark.P1
async def test_a_seq_is_never_given_out_again_though_all_records_are_gone(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(keep_ms=1, hub=True))
    await store(buffer, range(START_MS, START_MS + 5))
    await store(buffer, range(START_MS + 10, START_MS + 11))
    await acknowledge(buffer, buffer.head)
    await buffer.keeping._delete([(0, 6)])
    await buffer.close()
    again = await opened(tmp_path)
    assert again.head == 6
    await again.close()


@pytest.mark.P6
async def test_a_budget_that_cannot_hold_an_hour_each_says_so_and_drops_nothing(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(budget=400_000, keep_ms=10_000 * DAY_MS))
    for number in range(20):
        await store(buffer, range(START_MS + number * 100 * DAY_MS, START_MS + (number * 100 + 100) * DAY_MS, HOUR_MS))
    await upkeep(buffer)
    assert "the budget is too small" in buffer.state().warning
    assert buffer.state().error == ""  # all of it is stored
    assert len(await everything(buffer)) == buffer.head
    await buffer.close()


@pytest.mark.P6
async def test_records_of_unknown_time_are_thinned_with_their_flags_but_never_too_old(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(budget=450_000, keep_ms=DAY_MS))
    for number in range(3):
        await store(buffer, day(number))
        async with buffer._database.transaction() as db:
            await db.execute("UPDATE segment SET boot = 1, rolled = 0")
    await buffer.upkeep.round()
    left = Counter((record.ts - START_MS) // DAY_MS for record in await everything(buffer))
    assert left.keys() == {0, 1, 2}
    assert left[0] < len(day(0))
    assert {boot for (boot,) in await buffer._database.fetch("SELECT boot FROM segment")} == {1}
    await buffer.close()


@pytest.mark.P1
async def test_a_time_that_is_not_known_yet_makes_nothing_old(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(keep_ms=DAY_MS))
    await store(buffer, day(0, HOUR_MS))
    await store(buffer, day(10_000, HOUR_MS))
    async with buffer._database.transaction() as db:
        await db.execute("UPDATE segment SET boot = 1, rolled = 0 WHERE lo > 0")
    await buffer.upkeep.round()
    assert len(await everything(buffer)) == 48
    await buffer.close()


@pytest.mark.P1
@pytest.mark.parametrize("hub", [True, False])
async def test_a_clock_that_was_years_ahead_for_a_while_makes_nothing_old(tmp_path: Path, hub: bool) -> None:
    buffer = await opened(tmp_path, Limits(keep_ms=100 * DAY_MS, hub=hub))
    await store(buffer, day(0, HOUR_MS))
    for number in (2000, 1, 2001):  # set back between, and ahead again just now
        await store(buffer, day(number, HOUR_MS))
    await acknowledge(buffer, buffer.head)
    await upkeep(buffer)
    assert len(await everything(buffer)) == 4 * 24
    await buffer.close()


@pytest.mark.P6
async def test_marks_of_what_was_pushed_go_before_readings_lose_resolution(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(budget=2_000_000))
    buffer.keeping.clock.now_ms += 30 * DAY_MS  # type: ignore[attr-defined]
    for number in range(5):
        await store(buffer, day(number))
    for number in range(4):
        digests = [hashlib.sha256(f"{number} {n}".encode()).digest()[:16] for n in range(10_000)]
        await buffer.pushed.mark(digests, [], START_MS + number * DAY_MS)
        await upkeep(buffer)
    assert buffer.state().thinned_hours == 0
    assert not buffer.state().error
    await buffer.close()


async def test_events_without_end_do_not_fill_the_buffer(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(events=100))
    for number in range(300):
        buffer.put_event(Event(number, "device_offline"))
    await buffer.flushed()
    await upkeep(buffer)
    assert [event.seq for event in await buffer.read_events(Span(0, 1000), 1000)] == list(range(199, 300))
    await buffer.close()


@pytest.mark.P1
async def test_a_device_that_dates_its_records_far_ahead_makes_nothing_old(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(keep_ms=3 * DAY_MS))
    for number in range(3):
        await store(buffer, day(number, HOUR_MS))
    buffer.put(METER, [watts(START_MS + 10_000 * DAY_MS)])
    await buffer.flushed()
    await buffer.sealing.seal()
    await roll_up(buffer)
    await upkeep(buffer)
    assert len(await everything(buffer)) == 3 * 24 + 1
    await buffer.close()


async def test_what_the_page_shows_of_thinning_is_the_ledger_as_of_the_last_round(tmp_path: Path) -> None:
    """The last two segments say what time it is."""
    buffer = await opened(tmp_path, Limits(budget=700_000, keep_ms=30 * DAY_MS, hub=True, agreeing=2))
    for number in range(10):
        await store(buffer, day(number))
    assert buffer.keeping.thinned == []
    await upkeep(buffer)
    assert buffer.keeping.thinned == await ledger.ranges(buffer._database)
    assert buffer.keeping.thinned[0].since == START_MS
    await buffer.close()
    again = await opened(tmp_path, Limits(keep_ms=30 * DAY_MS, hub=True, agreeing=2))
    assert again.keeping.thinned == await ledger.ranges(again._database) != []
    await acknowledge(again, again.head)
    for number in range(60, 62):
        await store(again, day(number, HOUR_MS))
    await upkeep(again)
    assert again.keeping.thinned == await ledger.ranges(again._database) == []
    await again.close()


async def test_one_event_a_round_tells_of_thinning(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(budget=700_000))
    for number in range(10):
        await store(buffer, day(number))
    await upkeep(buffer)
    await buffer.flushed()
    (event,) = await buffer.read_events(Span(0, 100), 100)
    assert event.kind == "history_thinned"
    assert event.detail.startswith("2027-01-15 08:00 to ") or "; 2027-01-15 08:00 to " in event.detail
    await buffer.close()


async def test_a_file_that_is_mostly_free_is_written_anew_smaller(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(keep_ms=DAY_MS, hub=True))
    for number in range(10):
        await store(buffer, day(number))
    before = await everything(buffer)
    size = (await buffer.keeping._sizes()).file
    await acknowledge(buffer, buffer.head)
    await upkeep(buffer)
    after = await everything(buffer)
    assert (tmp_path / "b.db").stat().st_size < size / 2
    assert after == before[-len(after) :]
    assert len(after) >= len(day(0))
    await buffer.close()


async def test_a_file_with_a_segment_half_rolled_up_is_not_written_anew(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(keep_ms=DAY_MS, hub=True))
    for number in range(10):
        await store(buffer, day(number))
    async with buffer._database.transaction() as db:  # it stands still there: its time is not known
        await db.execute("UPDATE segment SET rolled = 0, rolled_block = 5, boot = 1 WHERE lo = ?", (4 * len(day(0)),))
    size = (await buffer.keeping._sizes()).file
    await acknowledge(buffer, buffer.head)
    await upkeep(buffer)
    after = await buffer.keeping._sizes()
    assert after.used < size / 2
    assert after.file >= size
    await buffer.close()


async def test_a_block_that_cannot_be_read_does_not_end_the_upkeep(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(budget=700_000))
    for number in range(10):
        await store(buffer, day(number))
    async with buffer._database.transaction() as db:
        await db.execute("UPDATE block SET bytes = x'00' WHERE segment = 0")
    await upkeep(buffer)
    levels = [level for (level,) in await buffer._database.fetch("SELECT level FROM segment ORDER BY lo")]
    assert levels[0] == 0
    assert max(levels) > 0
    await buffer.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB, really full when it is full."""
    needs("mount", "mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4M", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        lacks("the right to mount a tmpfs", "sudo")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Another program's file takes all that the disk has left."""
    with (folder / "other").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


@pytest.mark.P6
async def test_on_a_full_disk_the_oldest_that_the_hub_has_makes_room_and_the_buffer_goes_on(small_disk: Path) -> None:
    buffer = await opened(small_disk, Limits(hub=True, budget=2_000_000))
    buffer.keeping.make_reserve()
    reserve = small_disk / "b.db.reserve"
    assert reserve.stat().st_size == buffer.keeping.limits.reserve
    for number in range(4):
        await store(buffer, day(number, 5 * SECOND_MS))
    await acknowledge(buffer, buffer.head - 1000)
    await upkeep(buffer)
    fill(small_disk)
    taken = await take_until_refused(buffer)
    await buffer.upkeep.round()
    await buffer.flushed()
    assert not reserve.exists()
    for number in range(40, 50):
        await store(buffer, day(number, 600 * SECOND_MS))
        await upkeep(buffer)
    left = await everything(buffer)
    assert not buffer.state().error
    assert buffer.state().dropped == 0
    assert left[0].seq > 0
    assert [record.seq for record in left] == list(range(left[0].seq, buffer.head))
    assert taken > 0
    (small_disk / "other").unlink()
    await upkeep(buffer)
    assert reserve.stat().st_size == buffer.keeping.limits.reserve
    await buffer.close()


@pytest.mark.P6
async def test_even_without_a_reserve_a_young_log_is_used_again_on_a_full_disk(small_disk: Path) -> None:
    limits = Limits(hub=True, budget=2_000_000)
    buffer = await opened(small_disk, limits)
    for number in range(4):
        await store(buffer, day(number))
    await acknowledge(buffer, buffer.head)
    await buffer.keeping._delete([(0, 2 * len(day(0)))])  # the file has free pages
    await buffer.close()  # with it goes the log
    again = await opened(small_disk, limits)
    await store(again, day(4))
    fill(small_disk)
    while await take_until_refused(again):
        pass
    await again.upkeep.round()
    await again.flushed()
    assert not again.state().error
    await again.close()


async def test_the_reserve_is_as_large_as_the_budget_of_now_wants_it(tmp_path: Path) -> None:
    for budget in (100_000_000, 5_000_000, 100_000_000):
        buffer = await opened(tmp_path, Limits(budget=budget))
        buffer.keeping.make_reserve()
        assert (tmp_path / "b.db.reserve").stat().st_size == buffer.keeping.limits.reserve
        await buffer.close()


async def test_on_a_full_disk_work_that_needs_room_waits(small_disk: Path) -> None:
    buffer = await opened(small_disk, Limits(budget=2_000_000))
    done: list[int] = []

    async def work() -> bool:
        done.append(1)
        return False

    guarded = buffer.keeping.with_room(work)
    fill(small_disk)
    await guarded()
    assert done == []
    (small_disk / "other").unlink()
    await guarded()
    assert done == [1]
    await buffer.close()


async def take_until_refused(buffer: Buffer) -> int:
    """How many commits the disk still took; what it refused is kept in memory."""
    for number in range(1000):
        start = START_MS + 5 * DAY_MS + number * 100 * SECOND_MS
        buffer.put(METER, [watts(ts) for ts in range(start, start + 100 * SECOND_MS, 100)])
        try:
            await buffer.flushed()
        except StorageError:
            return number
    raise AssertionError("the disk is not full")


@pytest.mark.P1
async def test_devices_that_have_dated_far_ahead_for_long_make_nothing_old(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, Limits(keep_ms=3 * DAY_MS, agreeing=2))
    await store(buffer, day(0, HOUR_MS))
    now_ms = buffer.keeping.clock.wall_ms()
    for number in (4000, 4001, 4002):
        await store(buffer, day(number, HOUR_MS))
    buffer.keeping.clock.now_ms = now_ms  # type: ignore[attr-defined]
    await upkeep(buffer)
    assert len(await everything(buffer)) == 4 * 24
    await buffer.close()
