"""How much of each hour the hub holds, against how much there should be."""

from typing import Any

import msgspec
import pytest

from gateway.core.accounts import of_records
from gateway.core.model import Layout
from sync import wire
from sync.hub.intake.compare import Compare
from sync.hub.reading.completeness import CompletenessApi
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.contract import Store
from tests.hub.clock import NOW, StoppedClock
from tests.hub.signing import client, keep, settle
from tests.values import METER, power

HOUR = 3_600_000
BEGIN = NOW // (24 * HOUR) * 24 * HOUR


@pytest.fixture
async def store(store: Store) -> Store:
    await settle(store)
    return store


async def asked(store: Store, now: int, query: str = "") -> Any:
    routes = CompletenessApi(store.sql, Rollups(store.sql)).routes()
    async with client(store, routes, clock=StoppedClock(now)) as api:
        answer = await api.get(f"/api/v1/completeness?node=mill-1&since={BEGIN}{query}")
        assert answer.status == 200, await answer.text()
        return await answer.json()


def minutely(*wanted: int) -> list[int]:
    return [BEGIN + 60_000 * n for n in wanted]


@pytest.mark.P10
async def test_each_hour_says_how_many_there_are_and_how_many_there_should_be(store: Store) -> None:
    times = minutely(*range(30, 120), *range(150, 180))  # begins within the first hour, half of the third is missing
    await keep(store, "mill-1", METER, [power(ts, 1) for ts in times])
    found = await asked(store, BEGIN + 3 * HOUR + HOUR // 4)
    (device,) = found["devices"]
    assert (found["since"], found["step_ms"]) == (BEGIN, HOUR)
    assert device["held"] == [30, 60, 30, 0]
    assert device["expected"] == [30, 60, 60, 15]
    days = await asked(store, BEGIN + 3 * HOUR + HOUR // 4, "&by=day")
    assert (days["devices"][0]["held"], days["devices"][0]["expected"]) == ([120], [165])


@pytest.mark.P10
async def test_a_layout_that_follows_another_takes_over_what_is_expected(store: Store) -> None:
    other = Layout("meter", "live", METER.points[:1])
    await keep(store, "mill-1", METER, [power(ts, 1) for ts in minutely(*range(60))])
    faster = [BEGIN + HOUR + 30_000 * n for n in range(120)]
    await keep(store, "mill-1", other, [_record(other, ts) for ts in faster])
    (device,) = (await asked(store, BEGIN + 2 * HOUR))["devices"]
    assert device["held"] == device["expected"] == [60, 120]


def _record(layout: Layout, ts: int) -> Any:
    return msgspec.structs.replace(power(ts, 1), layout_id=layout.id, row=layout.rows.pack([1]))


async def test_where_too_few_came_to_tell_nobody_knows_how_many_there_should_be(store: Store) -> None:
    await keep(store, "mill-1", METER, [power(BEGIN, 1)])
    (device,) = (await asked(store, BEGIN + 2 * HOUR))["devices"]
    assert (device["held"], device["expected"]) == ([1, 0], [None, None])


@pytest.mark.P10
async def test_what_the_node_has_and_the_hub_has_not_is_told_until_it_came(store: Store) -> None:
    records = [power(ts, 1) for ts in minutely(*range(60))]
    await keep(store, "mill-1", METER, records[:50])
    hour = wire.Hour(METER.id.hex(), BEGIN, 60, of_records((one.ts, one.row) for one in records))
    ledger = msgspec.msgpack.encode(wire.Ledger([hour]))
    compare, cursor = Compare(store, StoppedClock()), wire.Cursor("0" * 16, 0, 1)
    await compare.handle("mill-1", cursor, ledger)
    assert (await asked(store, BEGIN + HOUR))["devices"][0]["lacking"] == [10]
    await keep(store, "mill-1", METER, records)
    assert (await asked(store, BEGIN + HOUR))["devices"][0]["lacking"] == [0]
    await compare.handle("mill-1", cursor, ledger)
    assert await store.sql.fetch("SELECT hour FROM differing_hour") == []


async def test_more_steps_than_a_picture_has_are_refused(store: Store) -> None:
    async with client(store, CompletenessApi(store.sql, Rollups(store.sql)).routes()) as api:
        assert (await api.get("/api/v1/completeness?node=mill-1&since=0")).status == 400


@pytest.mark.P10
async def test_of_a_time_before_the_first_record_nothing_is_expected(store: Store) -> None:
    await keep(store, "mill-1", METER, [power(ts, 1) for ts in minutely(*range(60))])
    routes = CompletenessApi(store.sql, Rollups(store.sql)).routes()
    async with client(store, routes, clock=StoppedClock(BEGIN + HOUR)) as api:
        answer = await api.get(f"/api/v1/completeness?node=mill-1&since={BEGIN - 3 * HOUR}&until={BEGIN - HOUR}")
        assert (await answer.json())["devices"][0]["expected"] == [0, 0]
