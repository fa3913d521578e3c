"""Roll-ups and charts come out as if all had come in order, however it came and whatever was cut off."""

import asyncio
import contextlib
import math
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.buffer import rolling, sealing
from gateway.buffer.buffer import Buffer
from gateway.core import codec
from gateway.core.errors import StorageError
from gateway.core.model import Layout, Point, Raw, Record
from gateway.core.rollup import CHUNK_MS, HOUR_MS, MINUTE_MS
from gateway.core.status import History

BEGIN = 20_000 * 86_400_000 + 23 * HOUR_MS  # an hour before midnight
POINTS = (
    Point("power", "f32", unit="W"), Point("level", "i16", unit="%", scale="0.1"), Point("total", "f64"),
    Point("energy", "u16", unit="Wh", kind="counter"), Point("mode", "u8", kind="enum"),
    Point("on", "bit"), Point("name", "text:4", kind="text"),
)  # fmt: skip
LAYOUTS = {name: Layout(name, "live", POINTS) for name in ("a", "b")}
LAYOUTS_BY_ID = {layout.id: layout for layout in LAYOUTS.values()}
KEYS = [point.key for point in POINTS if point.kind != "text"]


def record(name: str, ts: int, row: Sequence[Raw | None]) -> Record:
    layout = LAYOUTS[name]
    return Record(layout.id, BEGIN + ts, layout.rows.pack(row))


def watts(ts: int, power: float = 1.0, energy: int | None = None) -> Record:
    return record("a", ts, [power, 5, 0.1, energy, 1, 1, "x"])


async def opened(folder: str | Path) -> Buffer:
    return await Buffer.open(Path(folder) / "buffer.db")


async def take(buffer: Buffer, records: Iterable[Record]) -> None:
    """In one commit."""
    for one in records:
        buffer.put(LAYOUTS_BY_ID[one.layout_id], [one])
    await buffer.flushed()


async def roll(buffer: Buffer) -> None:
    while await buffer.rolling.step_minutes():
        pass
    while await buffer.rolling.step_hours():
        pass


async def seal(buffer: Buffer) -> None:
    while await buffer.sealing.seal():
        pass


async def charts(buffer: Buffer) -> list[History]:
    """Everything that a chart can show of what was taken."""
    whole = BEGIN - 86_400_000, BEGIN + 2 * 86_400_000
    return [
        await buffer.history(name, key, *whole, resolution)
        for name in LAYOUTS
        for key in KEYS
        for resolution in ("raw", "1m", "1h")
    ]


async def stored(buffer: Buffer) -> list[list[Any]]:
    queries = ("SELECT * FROM rollup_1m ORDER BY 1, 2", "SELECT * FROM rollup_1h ORDER BY 1, 2")
    return [[tuple(row) for row in await buffer._database.fetch(query)] for query in queries]


@dataclass(frozen=True)
class Cut:
    """Commit so many records, then perhaps seal, perhaps roll up."""

    records: int
    seal: bool
    minutes: bool
    hours: bool


f32s = st.floats(width=32, allow_nan=False) | st.integers(-5, 5).map(float)
rows = st.tuples(
    st.none() | f32s, st.none() | st.integers(-3000, 3000), st.none() | st.floats(allow_nan=False),
    st.none() | st.integers(0, 65_535), st.none() | st.integers(0, 3), st.none() | st.integers(0, 1),
    st.none() | st.just("text"),
)  # fmt: skip
seconds = st.integers(0, 30) | st.integers(0, 3 * HOUR_MS // 1000)
records = st.dictionaries(st.tuples(st.sampled_from(sorted(LAYOUTS)), seconds), rows, min_size=1, max_size=60).map(
    lambda found: [record(name, 1000 * second, row) for (name, second), row in sorted(found.items())]
)
cuts = st.lists(st.builds(Cut, st.integers(1, 20), st.booleans(), st.booleans(), st.booleans()), max_size=12)


async def end_of(taken: Sequence[Record], how: Sequence[Cut]) -> tuple[list[History], list[History], list[list[Any]]]:
    """The charts before and after everything was rolled up, and what is stored then."""
    with tempfile.TemporaryDirectory() as folder:
        buffer = await opened(folder)
        try:
            for layout in LAYOUTS.values():
                buffer.put(layout, [])
            left = list(taken)
            for cut in how:
                await take(buffer, left[: cut.records])
                del left[: cut.records]
                if cut.seal:
                    await seal(buffer)
                if cut.minutes:
                    await buffer.rolling.step_minutes()
                if cut.hours:
                    await buffer.rolling.step_hours()
            await take(buffer, left)
            before = await charts(buffer)
            await seal(buffer)
            await roll(buffer)
            return before, await charts(buffer), await stored(buffer)
        finally:
            await buffer.close()


@pytest.mark.P3
@settings(deadline=None, max_examples=40)
@given(records, st.data(), cuts)
def test_whatever_the_order_and_the_cuts_all_comes_out_as_if_it_had_come_in_order(
    in_order: list[Record], data: st.DataObject, how: list[Cut]
) -> None:
    again = data.draw(st.lists(st.sampled_from(in_order), max_size=5))  # delivered twice
    shuffled = data.draw(st.permutations([*in_order, *again]))
    expected = asyncio.run(end_of(in_order, []))
    assert expected[0] == expected[1], "rolled up or not"
    assert asyncio.run(end_of(shuffled, how)) == expected


def example(test: Callable[[Buffer], Coroutine[Any, Any, None]]) -> Callable[[Path], Coroutine[Any, Any, None]]:
    """A test with a buffer of its own."""

    async def run(tmp_path: Path) -> None:
        buffer = await opened(tmp_path)
        try:
            await test(buffer)
        finally:
            await buffer.close()

    run.__name__ = test.__name__
    return run


async def of(buffer: Buffer, key: str, resolution: Any, hours: int = 1) -> list[tuple[Any, ...]]:
    history = await buffer.history("a", key, BEGIN, BEGIN + hours * HOUR_MS, resolution)
    return [(row.ts - BEGIN, row.value, row.low, row.high) for row in history.rows]


@example
async def test_a_chart_shows_each_kind_of_point_in_its_unit(buffer: Buffer) -> None:
    rows = [(0, [1.0, 5, 0.5, 10, 1, 1, "x"]), (1000, [4.0, None, 0.5, 30, 2, 0, "x"])]
    await take(buffer, [record("a", ts, row) for ts, row in rows])  # type: ignore[arg-type]
    assert await of(buffer, "level", "raw") == [(0, 0.5, None, None), (1000, None, None, None)]
    assert await of(buffer, "power", "1m") == [(0, 2.5, 1.0, 4.0)]
    assert await of(buffer, "level", "1h") == [(0, 0.5, 0.5, 0.5)]
    assert await of(buffer, "energy", "1m") == [(0, 30, 10, 30)]
    assert await of(buffer, "mode", "1m") == [(0, 2, None, None)]
    assert await of(buffer, "name", "1m") == [(0, None, None, None)]


@pytest.mark.P3
@example
async def test_a_late_record_for_deleted_ones_is_added_to_what_is_known_of_them(buffer: Buffer) -> None:
    await take(buffer, [watts(1000 * s, 2.0, 100 + s) for s in range(60)])
    await take(buffer, [watts(2 * HOUR_MS)])
    await seal(buffer)
    await roll(buffer)
    async with buffer._database.transaction() as db:
        await db.execute("DELETE FROM block")
        await db.execute("DELETE FROM segment")
    await take(buffer, [watts(30_500, 62.0, 130), watts(70_000, 1.0, 170)])
    expected = [(0, 182 / 61, 2.0, 62.0), (60_000, 1.0, 1.0, 1.0)]
    assert await of(buffer, "power", "1m") == expected, "in the tail"
    await seal(buffer)
    assert await of(buffer, "power", "1m") == expected, "sealed"
    await roll(buffer)
    assert await of(buffer, "power", "1m") == expected, "rolled up"
    assert await of(buffer, "power", "1h") == [(0, 183 / 62, 1.0, 62.0)]
    assert await of(buffer, "energy", "1h") == [(0, 170, 100, 170)]


@pytest.mark.P3
async def test_a_crash_between_transactions_leaves_nothing_undone_and_nothing_twice(tmp_path: Path) -> None:
    """The disk fails after each transaction in turn, and what was thinned makes doing it twice show."""
    outcomes = []
    for failing in range(12):
        folder = tmp_path / str(failing)
        folder.mkdir()
        buffer = await opened(folder)
        buffer.rolling.chunks_max, buffer.rolling.hours_max = 2, 1
        await take(buffer, [one for s in range(0, 9000, 30) for one in (watts(1000 * s), record("b", 1000 * s, ROW))])
        await seal(buffer)
        await roll(buffer)
        async with buffer._database.transaction() as db:
            await db.execute("DELETE FROM block")
        await take(buffer, [one for s in range(1, 9000, 200) for one in (watts(1000 * s), record("b", 1000 * s, ROW))])
        await seal(buffer)
        for _ in range(failing):
            await buffer.rolling.step_minutes() or await buffer.rolling.step_hours()
        before = await charts(buffer)
        await buffer.close()
        buffer = await opened(folder)
        assert await charts(buffer) == before
        await roll(buffer)
        assert summary(await charts(buffer)) == summary(before), "half rolled up or whole"
        outcomes.append(await stored(buffer))
        await buffer.close()
    assert all(outcome == outcomes[0] for outcome in outcomes)


ROW = (3.0, 7, 0.25, None, 2, 0, "x")


def summary(found: Sequence[History]) -> list[Any]:
    """What does not depend on how sums were rounded."""
    return [[(row.ts, row.low, row.high) for row in one.rows] for one in found]


async def test_a_disk_that_fails_while_rolling_up_is_tried_again_later(tmp_path: Path) -> None:
    buffer = await opened(tmp_path)
    await take(buffer, [watts(0)])
    await seal(buffer)
    await buffer._database._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError):
        await buffer.rolling.step_minutes()
    await buffer._database._writer.execute("PRAGMA query_only = OFF")
    assert await buffer.rolling.step_minutes()
    assert not await buffer.rolling.step_minutes()
    await buffer.close()


async def test_a_history_that_the_disk_does_not_give_is_a_storage_error(tmp_path: Path) -> None:
    buffer = await opened(tmp_path)
    await take(buffer, [watts(0)])
    await buffer.close()
    (tmp_path / "buffer.db").unlink()
    with pytest.raises(StorageError, match=r"buffer\.db"):
        await of(buffer, "power", "1m")


@example
async def test_an_hour_is_written_when_it_is_over_and_shown_before(buffer: Buffer) -> None:
    for minute in range(0, 59, 10):
        await take(buffer, [watts(minute * MINUTE_MS, float(minute))])
        await seal(buffer)
        await roll(buffer)
    assert (await stored(buffer))[1] == []
    assert await of(buffer, "power", "1h") == [(0, 25.0, 0.0, 50.0)]
    await take(buffer, [watts(HOUR_MS)])
    await seal(buffer)
    await roll(buffer)
    assert len((await stored(buffer))[1]) == 1
    assert await of(buffer, "power", "1h") == [(0, 25.0, 0.0, 50.0)]


@example
async def test_an_hour_whose_minutes_were_deleted_is_not_made_of_less(buffer: Buffer) -> None:
    await take(buffer, [watts(minute * MINUTE_MS, 2.0) for minute in (*range(60), 120)])
    await seal(buffer)
    await roll(buffer)
    async with buffer._database.transaction() as db:
        for table in ("rollup_1m", "block"):
            await db.execute(f"DELETE FROM {table}")
    await take(buffer, [watts(1000, 50.0)])
    await seal(buffer)
    await roll(buffer)
    assert await of(buffer, "power", "1h") == [(0, 2.0, 2.0, 2.0)]


@example
async def test_times_that_may_yet_be_corrected_are_shown_but_not_rolled_up(buffer: Buffer) -> None:
    await take(buffer, [watts(0)])
    async with buffer._database.transaction() as db:
        await db.execute("INSERT INTO boot (id, kernel_id, estimate) VALUES (1, 'x', 0)")
        await db.execute("UPDATE frame SET boot = 1")
    await seal(buffer)
    assert not await buffer.rolling.step_minutes()
    assert await of(buffer, "power", "1m") == [(0, 1.0, 1.0, 1.0)]


@example
async def test_a_log_of_a_year_that_comes_at_once_is_rolled_up_in_small_pieces(buffer: Buffer) -> None:
    quarters = [watts(900_000 * n, float(n), n % 60_000) for n in range(4000)]
    await take(buffer, quarters)
    await seal(buffer)
    rows = await buffer._database.fetch("SELECT max(ts_max - ts_min), count(*) FROM block")
    assert tuple(rows[0]) < (86_400_000, 50), "a chart of one day reads no year"
    steps, chunks = 0, 0
    while await buffer.rolling.step_minutes():
        now = (await buffer._database.fetch("SELECT count(*) FROM rollup_1m"))[0][0]
        assert now - chunks <= rolling.CHUNKS_MAX + 288
        steps, chunks = steps + 1, now
    assert steps > 10
    assert chunks == 4000
    while await buffer.rolling.step_hours():
        pass
    assert [row[1] for row in await of(buffer, "power", "1h", 2)] == [1.5, 5.5]


@example
async def test_a_block_of_many_days_is_found_from_any_of_them(buffer: Buffer) -> None:
    await take(buffer, [watts(n * HOUR_MS, float(n)) for n in range(100)])
    await seal(buffer)
    whole = [one for (pack,) in await buffer._database.fetch("SELECT bytes FROM block") for one in codec.decode(pack)]
    pack = codec.encode(whole, LAYOUTS_BY_ID)
    async with buffer._database.transaction() as db:  # as a release before this one sealed it
        await db.execute("DELETE FROM block")
        row = (0, LAYOUTS["a"].id, BEGIN, BEGIN + 99 * HOUR_MS, 100, pack)
        await db.execute(sealing.APPEND_BLOCK, row)
    for roll_up in (False, True):
        if roll_up:
            await roll(buffer)
        assert [row[1] for row in await of(buffer, "power", "raw", 3)] == [0.0, 1.0, 2.0]
    await take(buffer, [watts(HOUR_MS + 1000, 5.0)])
    assert [row[1] for row in await of(buffer, "power", "1m", 3)] == [0.0, 3.0, 2.0]


@example
async def test_a_corrupt_block_or_roll_up_costs_only_itself(buffer: Buffer) -> None:
    for minute in range(20):
        await take(buffer, [watts(minute * MINUTE_MS, float(minute))])
        if minute % 10 == 9:
            await seal(buffer)
            await roll(buffer)
    async with buffer._database.transaction() as db:
        await db.execute("UPDATE rollup_1m SET bytes = x'00' WHERE ts = ?", (BEGIN,))
        await db.execute("UPDATE block SET bytes = x'00' WHERE segment = 0")
    assert [row[0] // MINUTE_MS for row in await of(buffer, "power", "1m")] == list(range(5, 20))
    assert [row[0] // MINUTE_MS for row in await of(buffer, "power", "raw")] == list(range(10, 20))
    await take(buffer, [watts(CHUNK_MS - 1, 7.0)])
    await seal(buffer)
    await roll(buffer)
    assert [row[1] for row in await of(buffer, "power", "1m")] == [7.0, *map(float, range(5, 20))]


@example
async def test_a_row_of_a_layout_that_is_not_there_keeps_no_others_from_being_rolled_up(buffer: Buffer) -> None:
    for name in ("a", "b"):
        await take(buffer, [record(name, n * HOUR_MS, [1.0, 5, 0.1, 7, 1, 1, "x"]) for n in range(3)])
        await seal(buffer)
    with contextlib.closing(sqlite3.connect(buffer._database.path)) as other:  # minds no references
        other.execute("UPDATE block SET layout = x'0011223344556677' WHERE segment = 0")
        other.execute("INSERT INTO stale_hour VALUES (x'0011223344556677', 0)")
        other.commit()
    await roll(buffer)
    assert await buffer._database.fetch("SELECT 1 FROM segment WHERE rolled = 0") == []
    rows = await buffer._database.fetch("SELECT DISTINCT layout FROM rollup_1h")
    assert [layout for (layout,) in rows] == [LAYOUTS["b"].id]


@example
async def test_layouts_that_follow_each_other_are_one_history(buffer: Buffer) -> None:
    old = Layout("a", "live", (Point("power", "f32", unit="W"), Point("energy", "u16", unit="Wh", kind="counter")))
    new = Layout(
        "a", "live", (Point("energy", "u32", unit="Wh", kind="counter", scale="0.1"), Point("power", "i16", unit="W"))
    )
    other = Layout("a", "kilo", (Point("power", "f32", unit="kW"),))
    buffer.put(other, [Record(other.id, BEGIN, other.rows.pack([0.5]))])
    buffer.put(old, [Record(old.id, BEGIN + 1000 * s, old.rows.pack([2.0, 100 + s])) for s in range(10)])
    await seal(buffer)
    await buffer.flushed()
    for stage in (seal, roll):
        await stage(buffer)
    buffer.put(new, [Record(new.id, BEGIN + 1000 * s, new.rows.pack([1000 + 10 * s, 5])) for s in range(10, 40)])
    await buffer.flushed()
    await seal(buffer)
    assert len(await of(buffer, "power", "raw")) == 40
    assert await of(buffer, "power", "1m") == [(0, (10 * 2.0 + 30 * 5) / 40, 2.0, 5)]
    assert await of(buffer, "power", "1h") == [(0, (10 * 2.0 + 30 * 5) / 40, 2.0, 5)]
    assert await of(buffer, "energy", "1m") == [(0, 139.0, 100, 139.0)]
    (row,) = await buffer.energy("a", "energy", [BEGIN, BEGIN + HOUR_MS])
    assert row.increase == 39
    (before,) = await buffer.energy("a", "energy", [BEGIN - HOUR_MS, BEGIN])
    assert before.increase is None


@example
async def test_the_energy_of_the_hours_of_a_day_is_all_that_was_counted(buffer: Buffer) -> None:
    total = [65_000 + 7 * s for s in range(0, 4 * 3600, 20)]  # it rolls over
    seconds = [s for s in range(0, 4 * 3600, 20) if not 5000 < s < 8000]  # and there was a downtime
    for s in seconds:
        buffer.put(LAYOUTS["a"], [watts(1000 * s, 1.0, total[s // 20] % 65_536 if s % 2000 else 0)])
        if s % 1000 == 0:
            await buffer.flushed()
            await seal(buffer)
            await roll(buffer)
    await buffer.flushed()
    hours = [BEGIN + n * HOUR_MS for n in range(6)]
    rows = await buffer.energy("a", "energy", hours)
    assert [row.increase for row in rows[4:]] == [None]
    assert math.fsum(row.increase or 0 for row in rows) == total[-1] - total[1], "the first value was a waking zero"
    assert [bool(row.recovered) for row in rows] == [False, False, True, False, False]
    minutes = await buffer.energy("a", "energy", [BEGIN, *(BEGIN + n * MINUTE_MS for n in (1, 90, 240))])
    assert sum(row.increase or 0 for row in minutes) == total[-1] - total[1]
    late = await buffer.energy("a", "energy", hours[3:5])
    assert late[0] == rows[3], "what stands before the range counts"
    with pytest.raises(KeyError):
        await buffer.energy("a", "power", hours)


@example
async def test_days_that_begin_within_an_hour_are_made_of_hours_and_need_few_minutes(buffer: Buffer) -> None:
    for hour in range(8):
        await take(buffer, [watts(hour * HOUR_MS + 20_000 * n, 1.0, 100 + 180 * hour + n) for n in range(180)])
        await seal(buffer)
        await roll(buffer)
    halves = [BEGIN + MINUTE_MS * minutes for minutes in (30, 3 * 60 + 30, 6 * 60 + 30)]
    assert [row.increase for row in await buffer.energy("a", "energy", halves)] == [540, 540]
    async with buffer._database.transaction() as db:  # as they go for the budget
        await db.execute("DELETE FROM rollup_1m WHERE ts >= ? AND ts < ?", (BEGIN + HOUR_MS, BEGIN + 3 * HOUR_MS))
    assert [row.increase for row in await buffer.energy("a", "energy", halves)] == [540, 540]
    async with buffer._database.transaction() as db:
        await db.execute("DELETE FROM rollup_1m")
    whole = [row.increase or 0 for row in await buffer.energy("a", "energy", [BEGIN, *halves, BEGIN + 7 * HOUR_MS])]
    assert sum(whole) == 7 * 180 - 1, "an hour whose minutes are gone is the period's in which it begins"


@example
async def test_where_nothing_was_counted_yet_there_is_no_energy(buffer: Buffer) -> None:
    await take(buffer, [watts(HOUR_MS, 1.0, 100)])
    for bounds in ([BEGIN - HOUR_MS, BEGIN], [BEGIN - MINUTE_MS, BEGIN - 1000]):
        assert [row.increase for row in await buffer.energy("a", "energy", bounds)] == [None]


@example
async def test_a_long_chart_has_no_more_than_a_day_of_all_points_in_memory(buffer: Buffer) -> None:
    await take(buffer, [watts(0)])
    chunks = [(LAYOUTS["a"].id, BEGIN + n * CHUNK_MS, bytes(5000)) for n in range(20 * 288)]
    async with buffer._database.transaction() as db:
        await db.executemany(rolling.PUT_MINUTES, chunks)
    del chunks
    tracemalloc.start()
    await buffer.history("a", "power", BEGIN, BEGIN + 20 * 86_400_000, "1m")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 288 * 5000
