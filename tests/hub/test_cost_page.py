"""The page of a site's cost, and the worked example of its docs."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright, expect

import local_ui
from gateway.core.cost import Interval, Price, cost_of_energy, cost_of_standing
from gateway.core.localtime import QUARTER_MS, begin_of
from gateway.core.tariffcheck import parse_tariff
from local_ui import guard
from sync.hub.app import build_hub
from sync.hub.config import HubConfig
from sync.hub.cost.pricebars import bars
from sync.hub.cost.tariffs import Tariffs
from sync.hub.prices.settings import AreaConfig, PricesConfig
from sync.hub.prices.store import KeptPrice, Prices
from tests.hub.clock import StoppedClock
from tests.hub.costing import ADMIN, at, readings, settle, take
from tests.hub.signed import QUICK, cookie
from tests.hub.stores import opened
from tests.hub.test_cost import TARIFF
from tests.local_ui.test_page_in_browser import FLAGS
from tests.needs import needs

NOW = at("2026-11-21T12:00")
WARSAW = ZoneInfo("Europe/Warsaw")
DOCS = Path(__file__).parents[2] / "docs/hub-prices.md"


def test_the_worked_example_of_the_docs_is_what_comes_out() -> None:
    text = DOCS.read_text()
    tariff = parse_tariff("\n".join(line[4:] for line in text.splitlines() if line.startswith("    ")))
    lo, hi = begin_of(date(2026, 11, 20), WARSAW), begin_of(date(2026, 11, 21), WARSAW)
    drawn = [Interval(lo, hi, Fraction(36), Fraction(0))]
    span = date(2026, 11, 20), date(2026, 11, 21)
    energy, standing = cost_of_energy(tariff, *span, drawn, [], "day"), cost_of_standing(tariff, *span, drawn, "day")
    lines = [*energy.lines, *standing.lines]
    rows = [[cell.strip(" *") for cell in row.split("|")[1:-1]] for row in re.findall(r"^\| .*\|$", text, re.M)[2:]]
    told = [(row[0].split(":")[0], *(Decimal(cell) for cell in row[2:])) for row in rows]
    made = [(f"{line.component}, {line.period}".rstrip(", "), line.net, line.vat, line.gross) for line in lines]
    together = ("together", *(sum((line[n] for line in made), Decimal(0)) for n in (1, 2, 3)))
    assert told == [*made, together]


@asynccontextmanager
async def page_of(folder: Path) -> AsyncIterator[tuple[Page, str]]:
    """The hub of a site with a day of readings, a tariff and prices; and the address of its page."""
    needs("chromium", "chromium")
    areas = PricesConfig(areas=(AreaConfig(name="PL", provider="pse", url="http://127.0.0.1:1/"),))
    async with opened("hub.db", folder) as store:
        await settle(store)
        times = list(range(at("2026-11-19T23:00"), at("2026-11-21T00:00") + 1, QUARTER_MS))
        await take(store, readings(times, lambda ts: 1000.0, lambda ts: 0.0))
        tariffs, prices = Tariffs(store.sql), Prices(store.sql)
        kept = await tariffs.add("mills", "Two zones", TARIFF, 0)
        assert kept is not None
        await tariffs.assign("lane", date(2026, 1, 1), kept.id)
        await tariffs.set_area("lane", "PL")
        begin = at("2026-11-21T00:00")
        of_day = [Price(begin + n * QUARTER_MS, 15, Decimal(n - 20), "PLN") for n in range(96)]
        await prices.replace("PL", begin, begin + 96 * QUARTER_MS, of_day, NOW, "PSE RCE")
        static = Path(local_ui.__file__).parent / "static"
        app = build_hub(
            HubConfig(store="hub.db", prices=areas), store, StoppedClock(NOW), static, [guard.headers], QUICK
        )
        async with TestServer(app) as server, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            context = await browser.new_context()
            await context.add_cookies([await cookie(server, *ADMIN.grants)])  # type: ignore[list-item]
            yield await context.new_page(), str(server.make_url("/sites/lane/cost"))
            await browser.close()


async def test_an_owner_reads_the_month_its_gaps_and_the_prices(tmp_path: Path) -> None:
    async with page_of(tmp_path) as (page, address):
        await page.goto(address)
        await expect(page.locator("h1")).to_have_text("Cost of lane")
        await expect(page.locator("table.bill tbody tr").first).to_contain_text("Energy · night")
        await expect(page.locator("main")).to_contain_text("no readings for 18 d 23 h")
        await expect(page.locator("svg[role=img] rect")).to_have_count(96)
        await expect(page.locator("main")).to_contain_text("No prices of tomorrow yet.")
        await page.click("a[rel=prev]")
        await expect(page.locator(".months strong")).to_have_text("October 2026")


async def test_mistakes_in_a_tariff_are_shown_while_it_is_written_and_saving_says_them_too(tmp_path: Path) -> None:
    async with page_of(tmp_path) as (page, address):
        await page.goto(address)
        await page.click("summary:has-text('Write a new')")
        form = page.locator("details[open] form")
        text = form.locator("textarea")
        good = (await text.input_value()).replace("My tariff", "<b>Mine</b>")
        await text.fill(good.replace("per: month", "per: moon"))
        await expect(form.locator(".mistakes li")).to_have_text(re.compile("Line 16.*expected one of day, month, year"))
        await form.locator("button:has-text('Save')").click()
        await expect(form.locator("[data-told]")).to_contain_text("line 16")
        await text.fill(good)
        await expect(form.locator(".mistakes")).to_be_hidden()
        await form.locator("button:has-text('Save')").click()
        await expect(page.locator("select[name=tariff]")).to_contain_text("<b>Mine</b>")


@pytest.mark.parametrize("values", [[], [0, 0], [-5, -1], [1, 2], [-3, 7]])
def test_bars_stay_within_their_picture(values: list[int]) -> None:
    kept = [KeptPrice(Price(n * QUARTER_MS, 15, Decimal(value), "PLN"), 0, "PSE") for n, value in enumerate(values)]
    view = bars("today", kept, 0, 96 * QUARTER_MS, WARSAW, QUARTER_MS)
    drawn = view["bars"]
    assert isinstance(drawn, list)
    assert len(drawn) == len(values)
    for bar in drawn:
        assert 0 <= float(bar["y"]) <= 100
        assert float(bar["y"]) + float(bar["height"]) <= 101
