"""What the hub rolls up is what the edge rolls up, whatever the order in which records came; on both stores."""

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, closing
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.buffer.buffer import Buffer
from gateway.core.chunk import ChunkFormat
from gateway.core.clock import SystemClock
from gateway.core.model import Layout, Point, Record
from gateway.core.rollup import DAY_MS, HOUR_MS, MINUTE_MS, Bucket
from gateway.core.status import History, HistoryRow, Resolution
from sync.hub.rollup.rolling import ASIDE_MS, Rolling, set_aside
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.contract import Store
from tests.buffer.test_rolling import BEGIN, KEYS, LAYOUTS, LAYOUTS_BY_ID, POINTS, records
from tests.hub.stores import audit, opened
from tests.values import METER, power

LATER = BEGIN + 99 * HOUR_MS
WHOLE = BEGIN - DAY_MS, BEGIN + 2 * DAY_MS
Stored = list[list[tuple[Any, ...]]]
RESOLUTIONS: tuple[Resolution, ...] = ("raw", "1m", "1h")


@pytest.fixture
async def store(where: str, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(where, tmp_path) as store:
        yield store


async def rolled(store: Store, now: int = LATER) -> None:
    await Rolling(store.sql, SystemClock()).turn(now)


async def charts(store: Store, node: str = "node") -> list[History]:
    return [
        await Rollups(store.sql).series(node, name, key, *WHOLE, resolution)
        for name in LAYOUTS
        for key in KEYS
        for resolution in RESOLUTIONS
    ]


async def stored(store: Store, node: str = "node") -> Stored:
    """Bytes as they stand in the tables."""
    queries = (
        "SELECT layout, hour, bytes FROM rollup_1m JOIN series ON id = series WHERE node = $1 ORDER BY 1, 2",
        "SELECT layout, day, bytes FROM rollup_1h JOIN series ON id = series WHERE node = $1 ORDER BY 1, 2",
    )
    return [[tuple(row) for row in await store.sql.fetch(query, node)] for query in queries]


async def edge(folder: Path, taken: Sequence[Record]) -> tuple[list[History], list[tuple[bytes, Bucket]]]:
    """The edge's charts of the same, and the buckets that it stores."""
    buffer = await Buffer.open(folder / "buffer.db")
    try:
        for layout in LAYOUTS.values():
            buffer.put(layout, [one for one in taken if one.layout_id == layout.id])
        await buffer.flushed()
        while await buffer.sealing.seal():
            pass
        while await buffer.rolling.step_minutes():
            pass
        found = [
            await buffer.history(name, key, *WHOLE, resolution)
            for name in LAYOUTS
            for key in KEYS
            for resolution in RESOLUTIONS
        ]
    finally:
        await buffer.close()
    with closing(sqlite3.connect(folder / "buffer.db")) as file:
        return found, buckets_of(file.execute("SELECT layout, ts, bytes FROM rollup_1m ORDER BY 1, 2"))


def buckets_of(rows: Iterable[Sequence[Any]]) -> list[tuple[bytes, Bucket]]:
    """Of rows (layout id, begin, chunk)."""
    return [
        (layout_id, bucket)
        for layout_id, ts, chunk in rows
        for bucket in ChunkFormat(LAYOUTS_BY_ID[layout_id], MINUTE_MS).decode(ts, chunk, range(len(POINTS)))
    ]


async def hub_of(
    where: str, folder: Path, node: str, batches: Sequence[Sequence[Record]], turns: Sequence[bool]
) -> tuple[list[History], list[History], Stored]:
    """The charts before and after everything was rolled up, and what is stored then."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(where, folder))]
        if where != "hub.db":  # another process
            stores.append(await stack.enter_async_context(opened(where, folder)))
        await stores[0].take_layouts(list(LAYOUTS.values()), audit(node))
        for n, (batch, turn) in enumerate(zip(batches, turns, strict=False)):
            await stores[n % len(stores)].take_records(batch, audit(node))
            if turn:
                await asyncio.gather(*(rolled(store) for store in stores))
        before = await charts(stores[0], node)
        await rolled(stores[0])
        return before, await charts(stores[0], node), await stored(stores[0], node)


@pytest.mark.P3
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records, st.data())
def test_whatever_the_order_the_batches_and_the_processes_the_roll_ups_are_those_of_the_edge(
    somewhere: str, in_order: list[Record], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(in_order), max_size=5))  # delivered twice
    left = data.draw(st.permutations([*in_order, *again]))
    sizes = data.draw(st.lists(st.integers(1, 20), max_size=6))
    ends = [0, *accumulate(sizes), len(left)]
    batches = [left[lo:hi] for lo, hi in pairwise(ends)]
    turns = data.draw(st.lists(st.booleans(), min_size=len(batches), max_size=len(batches)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs, minutes = asyncio.run(edge(folder, in_order))
        before, after, found = asyncio.run(hub_of(somewhere, folder, uuid4().hex, batches, turns))
        assert before == after == theirs
        assert buckets_of(found[0]) == minutes
        at_once = asyncio.run(hub_of(somewhere, folder, uuid4().hex, [in_order], [False]))
        assert at_once[2] == found


ONCE = Layout("meter", "live", (Point("power", "i32", unit="W"),))
GROWN = Layout("meter", "live", (Point("power", "i32", unit="W"), Point("mode", "u8", kind="enum")))
ODD = Layout("meter", "live", (Point("power", "i32", unit="kW"), Point("mode", "u8", kind="enum")))
HOUR = BEGIN // HOUR_MS * HOUR_MS


def at(layout: Layout, second: int, power: int) -> Record:
    return Record(layout.id, HOUR + 1000 * second, layout.rows.pack([power, 1][: len(layout.points)]))


@pytest.mark.parametrize("is_rolled", [False, True])
async def test_layouts_that_follow_each_other_are_one_history_where_they_have_the_unit_of_the_newest(
    store: Store, is_rolled: bool
) -> None:
    await store.take_layouts([ODD, ONCE, GROWN], audit())
    await store.take_records(
        [at(ODD, 0, 9), at(ONCE, 10, 1), at(ONCE, 20, 3), at(GROWN, 30, 8), at(GROWN, 70, 6)], audit()
    )
    if is_rolled:
        await rolled(store)
    found = {
        resolution: list((await Rollups(store.sql).series("node", "meter", "power", *WHOLE, resolution)).rows)
        for resolution in RESOLUTIONS
    }
    assert [row.value for row in found["raw"]] == [1, 3, 8, 6]
    assert found["1m"] == [HistoryRow(HOUR, 4, 1, 8), HistoryRow(HOUR + MINUTE_MS, 6, 6, 6)]
    assert found["1h"] == [HistoryRow(HOUR, 4.5, 1, 8)]
    with pytest.raises(KeyError):
        await Rollups(store.sql).series("node", "meter", "no such point", *WHOLE, "1h")
    with pytest.raises(KeyError):
        await Rollups(store.sql).series("another node", "meter", "power", *WHOLE, "1h")


@pytest.mark.P10
async def test_what_is_held_of_each_hour_is_told_before_and_after_it_is_rolled_up(store: Store) -> None:
    await store.take_layouts([ONCE, GROWN], audit())
    await store.take_records([at(ONCE, second, 1) for second in (0, 3599, 3600, 9000)], audit())
    expected = {HOUR: 2, HOUR + HOUR_MS: 1}
    for late in (0, 1):
        for _ in range(2):
            one, none = await Rollups(store.sql).completeness("node", HOUR, HOUR + 2 * HOUR_MS)
            assert (one.layout, one.records) == (ONCE, expected | {HOUR: 2 + late})
            assert none.records == {}
            await rolled(store)
        await store.take_records([at(ONCE, 7, 1)], audit())


async def test_the_present_hour_and_what_came_just_now_are_left_until_later(store: Store) -> None:
    await store.take_layouts([ONCE], audit())
    await store.take_records([at(ONCE, 0, 1)], audit(at=HOUR))
    for now in (HOUR + HOUR_MS, HOUR + HOUR_MS + 59_999):
        await rolled(store, now)
        assert await stored(store) == [[], []]
    await rolled(store, HOUR + HOUR_MS + 60_000)
    assert [len(rows) for rows in await stored(store)] == [1, 1]
    await store.take_records([at(ONCE, 1, 1)], audit(at=LATER))
    before = await stored(store)
    await rolled(store, LATER + 59_999)
    assert await stored(store) == before
    await rolled(store, LATER + 60_000)
    assert await stored(store) != before


async def test_a_roll_up_that_is_spoilt_is_missing_and_stops_nobody(store: Store) -> None:
    await store.take_layouts([ONCE], audit())
    await store.take_records([at(ONCE, 0, 1), at(ONCE, 3600, 2)], audit())
    await rolled(store)
    async with store.sql.transaction() as db:
        await db.execute("UPDATE rollup_1m SET bytes = $1 WHERE hour = $2", b"spoilt", HOUR)
        await db.execute("UPDATE rollup_1h SET bytes = $1", b"spoilt")
    found = await Rollups(store.sql).series("node", "meter", "power", *WHOLE, "1m")
    assert [row.value for row in found.rows] == [2]
    await store.take_records([at(ONCE, 1, 3)], audit())
    await rolled(store)
    found = await Rollups(store.sql).series("node", "meter", "power", *WHOLE, "1m")
    assert [row.value for row in found.rows] == [2, 2]


async def test_an_hour_that_cannot_be_rolled_up_keeps_none_waiting_that_are_behind_it(store: Store) -> None:
    for node in ("ill", "well"):
        await store.take_layouts([METER], audit(node))
        await store.take_records([power(BEGIN + 1000, 7), power(BEGIN + HOUR_MS, 8)], audit(node))
    async with store.sql.transaction() as db:
        await db.execute("UPDATE series SET encoded = $1 WHERE node = 'ill'", b"no layout")
    await rolled(store)
    held = await store.sql.fetch("SELECT node, count(*) FROM rollup_1m JOIN series ON id = series GROUP BY node")
    assert [tuple(row) for row in held] == [("well", 2)]
    assert (await set_aside(store.sql, LATER))[0] == 2
    async with store.sql.transaction() as db:
        await db.execute("UPDATE series SET encoded = $1 WHERE node = 'ill'", METER.encoded)
    await rolled(store, LATER + 2 * ASIDE_MS)
    assert await store.sql.fetch("SELECT 1 FROM dirty") == [], "it is tried again"
