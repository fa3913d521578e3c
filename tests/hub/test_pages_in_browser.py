"""All pages of the hub, in a real browser: accessible, calm, and usable by keyboard alone."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright, expect

from gateway.core.clock import SystemClock
from gateway.core.localtime import local
from local_ui import guard
from sync.hub.app import build_hub
from sync.hub.config import HubConfig
from sync.hub.web.shell import ENTRIES
from tests.axe import violations
from tests.hub.scenery import begin_of_lacking, fill
from tests.hub.signed import QUICK, STATIC, cookie
from tests.hub.stores import opened
from tests.local_ui.test_page_in_browser import FLAGS
from tests.needs import needs

MILL = "/nodes/mill-1"
PAGES = (
    "/", "/?show=table", "/?show=timeline", MILL, "/nodes/dam-1", f"{MILL}/completeness",
    f"{MILL}/configuration", f"{MILL}/commands", "/alerts", "/sites", "/sites/mill/cost", "/enrol", "/rollouts",
    "/ingest", "/people", "/acts", "/me", "/api", "/sign-in", "/nodes/nobody",
)  # fmt: skip
# All rules by each width and each light once; the contrast of the other two, which hardly differs, takes a while.
LOOKS: dict[tuple[int, str], tuple[str, ...]] = {(1280, "light"): (), (390, "dark"): ()}
if os.environ.get("HOLDFAST_LONG") == "1":
    LOOKS |= {(390, "light"): ("color-contrast",), (1280, "dark"): ("color-contrast",)}


@asynccontextmanager
async def browsed(folder: Path) -> AsyncIterator[tuple[Page, str, list[str]]]:
    """A browser of somebody who may all; the hub's address; what its console says and what it asks other hosts for."""
    needs("chromium", "chromium")
    async with opened("hub.db", folder) as store:
        await fill(store, SystemClock().wall_ms())
        app = build_hub(HubConfig(store="hub.db"), store, SystemClock(), STATIC, [guard.headers], QUICK)
        async with TestServer(app) as server, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            context = await browser.new_context(viewport={"width": 1280, "height": 800})
            await context.add_cookies([await cookie(server)])  # type: ignore[list-item]
            page, own, complaints = await context.new_page(), str(server.make_url("/")).rstrip("/"), list[str]()
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "request", lambda sent: None if sent.url.startswith((own, "data:")) else complaints.append(sent.url)
            )
            yield page, own, complaints
            await browser.close()


async def test_no_page_is_hard_to_read_in_any_light_or_width_and_none_moves_sideways(tmp_path: Path) -> None:
    async with browsed(tmp_path) as (page, own, complaints):
        found: list[str] = []
        for path in PAGES:
            await page.goto(own + path)
            await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            for (width, scheme), rules in LOOKS.items():
                await page.set_viewport_size({"width": width, "height": 800})
                await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                found += [f"{path} {width} {scheme}: {one}" for one in await violations(page, *rules)]
                wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                found += [f"{path} {width}: {wide} px too wide"] if wide > 0 else []
        assert found == []
        assert [words for words in complaints if "404 (Not Found)" not in words] == []  # the page that is not there


async def test_the_keyboard_alone_goes_from_the_first_page_to_an_hour_of_a_node(tmp_path: Path) -> None:
    async with browsed(tmp_path) as (page, own, complaints):
        press = page.keyboard.press
        await page.set_viewport_size({"width": 390, "height": 800})
        await page.goto(own)
        await press("Tab")
        await expect(page.get_by_role("link", name="To the content")).to_be_focused()
        await press("Enter")
        await press("Tab")
        await expect(page.get_by_label("Find")).to_be_focused()
        await page.keyboard.type("mill")
        await press("Enter")
        await expect(page.locator("article[data-node]")).to_have_count(1)
        await page.locator("nav summary").focus()
        await press("Enter")
        await expect(page.get_by_role("link", name="Fleet")).to_have_attribute("aria-current", "page")
        names = await page.locator(".small-only .menu a").all_inner_texts()
        assert [name.split(" 1")[0] for name in names] == list(ENTRIES)
        await page.get_by_role("link", name="mill-1").focus()
        await press("Enter")
        await page.get_by_role("link", name="Completeness").press("Enter")
        await expect(page.locator("h1")).to_have_text("mill-1: completeness")
        await page.goto(f"{own}{MILL}/completeness?month=2020-02")
        told = page.locator("[data-calendar]").first.locator("[data-told]")
        await page.locator("td[tabindex='0']").first.focus()
        await expect(told).to_contain_text("00:00: nothing here, nothing expected")
        await press("End")
        await press("ArrowLeft")
        await expect(told).to_contain_text("of 0 expected")
        lacking = local(begin_of_lacking(SystemClock().wall_ms()), ZoneInfo("Europe/Warsaw"))
        await page.goto(f"{own}{MILL}/completeness?month={lacking:%Y-%m}")
        lacks = page.locator("td.lacks")
        await expect(lacks).to_have_text("50!")
        await lacks.click()
        said = f"{lacking:%Y-%m-%d %H}:00: 30 records of 60 expected; 30 more at the node"
        await expect(page.locator("[data-told]").nth(1)).to_have_text(said)
        await page.get_by_role("link", name="←").press("Enter")
        await expect(lacks).to_have_count(0)
        assert complaints == []


async def test_a_page_that_nobody_looks_at_asks_nothing_and_one_that_is_fetched_again_loses_nothing(
    tmp_path: Path,
) -> None:
    async with browsed(tmp_path) as (page, own, _):
        fetched: list[str] = []
        page.on("request", lambda sent: fetched.append(sent.url) if "/part/" in sent.url else None)
        await page.goto(f"{own}/?show=table")
        await expect(page.locator("[data-stream]")).to_have_text("live")
        await page.set_viewport_size({"width": 390, "height": 300})
        await page.locator("#node-mill-1").focus()
        await page.evaluate("scrollTo(0, 120); document.querySelector('.scroll').scrollLeft = 77")
        await page.evaluate("document.querySelector('[data-part]').dataset.part = '/part/fleet?show=table&order=-id'")
        await looked_at(page, False)
        before = len(fetched)
        await looked_at(page, False)
        assert len(fetched) == before
        async with page.expect_response("**/part/fleet*"):
            await looked_at(page, True)
        await expect(page.locator("tbody th").first).to_have_text("mill-1")
        await expect(page.locator("#node-mill-1")).to_be_focused()
        assert await page.evaluate("[scrollY, document.querySelector('.scroll').scrollLeft]") == [120, 77]


async def looked_at(page: Page, really: bool) -> None:
    """Have the page believe that somebody looks at it, or does not."""
    await page.evaluate(
        """really => { Object.defineProperty(document, "hidden", { value: !really, configurable: true });
            document.dispatchEvent(new Event("visibilitychange")); }""",
        really,
    )


async def test_a_nodes_page_has_what_stands_against_it_its_charts_and_where_it_goes(tmp_path: Path) -> None:
    async with browsed(tmp_path) as (page, own, complaints):
        await page.goto(own + MILL)
        main = page.locator("main")
        for words in ("clock wrong: 7 min <b>fast</b>", "LEDGER queued", "70 records", "RPI-4711", "The Mill"):
            await expect(main).to_contain_text(words)
        await expect(page.locator(".u-series")).to_have_count(2)
        await page.get_by_label("Points").select_option(["power", "voltage", "current"])
        await expect(page.locator(".u-axis")).to_have_count(3)  # time, and two units
        await expect(page.locator(".u-series")).to_have_count(4)
        await expect(page.locator("[data-charts] [data-told]")).to_contain_text("A without an axis")
        plot = page.get_by_role("group", name="Chart")
        await plot.press("Home")
        first = await page.locator(".u-legend").inner_text()
        await plot.press("ArrowRight")
        await expect(page.locator(".u-legend")).not_to_have_text(first)
        gap = """import("/hub/chart.js").then(({columns}) => columns({step_ms: null,
            lines: [{rows: [[0, 1], [60000, 2], [120000, 3], [900000, 4], [960000, null]]}]}))"""
        assert await page.evaluate(gap) == [[0, 60, 120, 120.001, 900, 960], [1, 2, 3, None, 4, None]]

        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_text("Move it to another site").click()
        await page.locator("form[data-send$='/site'] select").select_option("dam")
        await page.get_by_role("button", name="Move it").click()
        await expect(page.locator("h1")).to_contain_text("The Dam")

        await page.goto(f"{own}/nodes/dam-1")
        await expect(main).to_contain_text("has never heard of it")
        await expect(page.locator("[data-live]")).to_have_text("live")
        await expect(page.locator("[data-node-presence]")).to_have_text("never heard")
        assert complaints == []
