"""The page in a real browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright, expect

from gateway.core.status import DeviceState
from local_ui.app import build_app
from tests.local_ui.parts import NOW, FakeSite, device
from tests.needs import needs

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
SIZES = {"phone": (360, 740), "desktop": (1280, 800)}


@asynccontextmanager
async def browsed(site: FakeSite, size: str, scheme: str) -> AsyncIterator[tuple[Page, TestServer, list[str]]]:
    """The page of `site`, its server, and what the browser complained of or asked other hosts for."""
    needs("chromium", "chromium")
    complaints: list[str] = []
    width, height = SIZES[size]
    server = TestServer(build_app(site, password_sha256=None))
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
            await page.goto(own)
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
