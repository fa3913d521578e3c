"""Prices as they are kept: fetched once, whole days, what is missing later on."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from gateway.core.cost import Price
from gateway.core.localtime import DAY, begin_of
from sync.hub.prices.asking import Asker
from sync.hub.prices.fetching import AT_ONCE, Fetching, areas_of
from sync.hub.prices.provider import PriceError
from sync.hub.prices.settings import AreaConfig, PricesConfig
from sync.hub.prices.store import Prices
from tests.hub.pricesource import WARSAW, Source, pse_rows, source
from tests.hub.stores import KINDS, opened, place

FRIDAY = date(2026, 11, 20)
NOON = begin_of(FRIDAY, WARSAW) + 12 * 3_600_000
HOUR_MS = 3_600_000


class Prompt(Random):
    def uniform(self, a: float, b: float) -> float:
        return a  # no jitter; the shortest pause


def fetching(prices: Prices, service: Source, backfill_days: int = 1) -> Fetching:
    config = PricesConfig(areas=(AreaConfig(name="PL", provider="pse", url=service.url),), backfill_days=backfill_days)
    return Fetching(prices, areas_of(config, Asker()), backfill_days, Prompt())


async def held(prices: Prices, day: date) -> int:
    return len(await prices.between("PL", begin_of(day, WARSAW), begin_of(day + DAY, WARSAW)))


@pytest.mark.parametrize("kind", KINDS)
async def test_today_and_what_is_missing_are_fetched_once_and_tomorrow_when_it_is_out(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with source() as service, opened(await place(kind, request), tmp_path) as store:
        prices = Prices(store.sql)
        work = fetching(prices, service).work
        await work(NOON)
        assert service.asked == [FRIDAY, FRIDAY - DAY]
        await work(NOON + HOUR_MS)
        assert service.asked == [FRIDAY, FRIDAY - DAY]
        await work(NOON + 2 * HOUR_MS)
        assert service.asked[2:] == [FRIDAY + DAY]
        assert [await held(prices, day) for day in (FRIDAY - DAY, FRIDAY, FRIDAY + DAY)] == [96, 96, 96]
        (first, *_) = await prices.between("PL", NOON + 1, NOON + 2)
        assert (first.price.ts, first.price.value) == (NOON, Decimal("148.0"))
        assert (first.fetched, first.source) == (NOON, "PSE RCE")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_day_is_replaced_by_a_whole_day_only(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with source() as service, opened(await place(kind, request), tmp_path) as store:
        prices = Prices(store.sql)
        fetcher = fetching(prices, service)
        (area,) = areas_of(PricesConfig(areas=(AreaConfig(name="PL", provider="pse", url=service.url),)), Asker())
        await fetcher.fetch(area, FRIDAY, NOON)
        service.answer = lambda day: web.json_response({"value": pse_rows(day)[:50]})
        with pytest.raises(PriceError):
            await fetcher.fetch(area, FRIDAY, NOON + 1)
        assert await held(prices, FRIDAY) == 96
        service.answer = lambda day: web.json_response({"value": [row | {"rce_pln": -5} for row in pse_rows(day)]})
        await fetcher.fetch(area, FRIDAY, NOON + 2)
        kept = await prices.between("PL", begin_of(FRIDAY, WARSAW), begin_of(FRIDAY + DAY, WARSAW))
        assert {(one.price.value, one.fetched) for one in kept} == {(Decimal(-5), NOON + 2)}


async def test_a_service_that_fails_is_asked_again_after_a_while_that_grows(tmp_path: Path) -> None:
    async with source() as service, opened("hub.db", tmp_path) as store:
        prices = Prices(store.sql)
        fetcher = fetching(prices, service, backfill_days=0)
        service.answer = lambda day: web.Response(status=500)
        asked = []
        for minute in range(0, 60, 5):
            before = len(service.asked)
            try:
                await fetcher.work(NOON + minute * 60_000)
            except PriceError:
                assert "status 500" in fetcher.troubles["PL"]
            asked += [minute] * (len(service.asked) - before)
        assert asked == [0, 5, 15, 35]
        service.answer = lambda day: web.json_response({"value": pse_rows(day)})
        await fetcher.work(NOON + 80 * 60_000)
        assert (fetcher.troubles, await held(prices, FRIDAY)) == ({}, 96)


async def test_a_long_gap_is_filled_a_few_days_a_turn_and_a_bad_day_does_not_keep_up_the_others(tmp_path: Path) -> None:
    bad = FRIDAY - 3 * DAY
    async with source() as service, opened("hub.db", tmp_path) as store:
        fetcher = fetching(Prices(store.sql), service, backfill_days=8)
        service.answer = lambda day: web.json_response({"value": pse_rows(day)[day == bad :]})
        with pytest.raises(PriceError, match="95 of 96"):
            await fetcher.work(NOON)
        assert len(service.asked) == AT_ONCE
        await fetcher.work(NOON + 1)
        assert service.asked == [FRIDAY - n * DAY for n in range(9)]
        assert await fetcher.missing(areas_of(PricesConfig(areas=(
            AreaConfig(name="PL", provider="pse", url=service.url),)), Asker())[0], NOON) == [bad]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_prices_come_by_time_and_also_the_one_that_began_before(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with opened(await place(kind, request), tmp_path) as store:
        prices = Prices(store.sql)
        for n, area in enumerate(("DE", "AT")):
            of = [Price(h * HOUR_MS, 60, Decimal(f"-0.0{h}{n}"), "EUR") for h in range(4)]
            await prices.replace(area, 0, 4 * HOUR_MS, of, 7, "example.org")
        got = await prices.between("DE", HOUR_MS + 1, 3 * HOUR_MS)
        assert [(kept.price.ts, str(kept.price.value)) for kept in got] == [
            (HOUR_MS, "-0.010"), (2 * HOUR_MS, "-0.020"),
        ]  # fmt: skip
