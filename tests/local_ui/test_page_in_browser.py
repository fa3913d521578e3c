"""The page in a real browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright, expect

from gateway.core.model import Quality, Reading
from gateway.core.status import DeviceState, SyncState
from local_ui.app import build_app
from local_ui.sync import SyncDoor
from tests.local_ui.parts import NOW, FakeSite, device
from tests.needs import needs

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
expect.set_options(timeout=30_000)  # for all tests in a browser: 5 s are not enough on a machine with other work
SIZES = {"phone": (360, 740), "desktop": (1280, 800)}


@asynccontextmanager
async def browsed(
    site: FakeSite, size: str, scheme: str, door: SyncDoor | None = None, path: str = "/"
) -> AsyncIterator[tuple[Page, TestServer, list[str]]]:
    """The page of `site` at `path`, its server, and what the browser complained of or asked other hosts for."""
    needs("chromium", "chromium")
    complaints: list[str] = []
    width, height = SIZES[size]
    server = TestServer(build_app(site, password_sha256=None, sync=door))
    async with server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        context = await browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
        )
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        own = str(server.make_url("/"))
        page.on("request", lambda request: None if request.url.startswith(own) else complaints.append(request.url))
        try:
            await page.goto(f"{own.rstrip('/')}{path}")
            yield page, server, complaints
        finally:
            await browser.close()


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desktop", "light")])
async def test_a_change_on_the_site_shows_on_the_page_which_fits_and_asks_nobody_else(size: str, scheme: str) -> None:
    offline: DeviceState = msgspec.structs.replace(
        device("Barn"), presence="offline", reason="no answer from 10.0.0.7:502 unit 3 within 2 s; check the wiring"
    )
    site = FakeSite(device(), offline)
    async with browsed(site, size, scheme) as (page, _, complaints):
        await expect(page.locator("[data-stream]")).to_have_text("live")
        power = page.locator('[data-device="Meter"] .main [data-key="active_power"]')
        await expect(power).to_have_text("1,234")
        await expect(page.locator('[data-device="Barn"] .reason')).to_contain_text("no answer from 10.0.0.7:502")
        site.change(msgspec.structs.replace(device("Meter", 77.0), ts=NOW + 1000))
        await expect(power).to_have_text("77")
        await expect(page.locator("canvas")).to_have_count(2)
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(18, 22, 20)") == (scheme == "dark")
    assert complaints == []


async def test_when_the_gateway_goes_away_the_page_says_how_old_its_numbers_are() -> None:
    async with browsed(FakeSite(device()), "desktop", "light") as (page, server, _):
        await expect(page.locator("[data-stream]")).to_have_text("live")
        await server.close()
        await expect(page.locator("[data-stream]")).to_contain_text("no connection; numbers are")


async def test_a_device_that_goes_offline_says_why_and_keeps_its_last_value() -> None:
    site = FakeSite(device())
    async with browsed(site, "desktop", "light") as (page, _, complaints):
        card = page.locator('[data-device="Meter"]')
        await expect(card.locator(".reason")).to_be_hidden()
        site.change(msgspec.structs.replace(device(), presence="offline", reason="no answer; check the wiring"))
        await expect(card.locator(".reason")).to_have_text("no answer; check the wiring")
        await expect(card.locator(".presence")).to_have_text("offline")
        await expect(card.locator('[data-key="active_power"]')).to_have_text("1,234")
    assert complaints == []


async def test_a_value_that_was_missing_is_not_marked_so_once_it_comes() -> None:
    def with_voltage(value: float | None) -> DeviceState:
        voltage = Reading("voltage", value, "V", Quality.MISSING if value is None else Quality.GOOD, "voltage")
        changed: DeviceState = msgspec.structs.replace(device(), readings=(*device().readings, voltage))
        return changed

    site = FakeSite(with_voltage(None))
    async with browsed(site, "desktop", "light") as (page, _, complaints):
        row = page.locator("tr", has=page.locator('[data-key="voltage"]'))
        await expect(row).to_have_class("missing")
        site.change(with_voltage(230.06))
        await expect(row.locator("td")).to_have_text("230.1 V")
        await expect(row).not_to_have_class("missing")
        await expect(row).to_have_attribute("title", "")
    assert complaints == []


async def test_long_names_and_reasons_fit_a_phone_with_all_values_open() -> None:
    readings = tuple(
        Reading(f"{'a_very_long_name_' * 4}{n}", 123456789, "kvarh", Quality.GOOD, "energy") for n in range(4)
    )
    words = Reading("state", 1, "", Quality.GOOD, "", "x" * 120)
    long: DeviceState = msgspec.structs.replace(
        device("W" * 64), presence="offline", reason="r" * 200, profile="p" * 64, readings=(*readings, words)
    )
    site = FakeSite(long)
    site.sync = SyncState("https://hub.example", backlog=10**9, error="e" * 200)
    async with browsed(site, "phone", "light") as (page, _, _):
        await page.locator("summary").click()
        await expect(page.locator("table")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_a_device_that_is_new_to_the_page_appears() -> None:
    site = FakeSite(device())
    async with browsed(site, "desktop", "light") as (page, _, complaints):
        await expect(page.locator("[data-stream]")).to_have_text("live")
        site.change(device("Barn", 5.0))
        await expect(page.locator('[data-device="Barn"] [data-key="active_power"]')).to_have_text("5")
    assert complaints == []


async def test_a_device_named_like_markup_is_shown_as_it_is_called() -> None:
    name = '<img src=x onerror="document.title=1">"]'
    site = FakeSite(device(name))
    async with browsed(site, "desktop", "light") as (page, _, complaints):
        await expect(page.locator("h2")).to_have_text(name)
        site.change(msgspec.structs.replace(device(name, 9.0), presence="offline", reason="<b>why</b>"))
        await expect(page.locator(".reason")).to_have_text("<b>why</b>")
        await expect(page.locator('.main [data-key="active_power"]')).to_have_text("9")
    assert complaints == []
