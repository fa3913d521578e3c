"""The pages for people and sites, in a real browser."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright, expect

from gateway.core.clock import SystemClock
from gateway.core.model import Event
from local_ui import guard
from sync.hub.app import SIGNED, build_hub
from sync.hub.config import HubConfig
from sync.hub.web.rights import Grant, Role
from tests.hub.clock import NOW
from tests.hub.signed import QUICK, STATIC
from tests.hub.stores import audit, opened
from tests.local_ui.test_page_in_browser import FLAGS
from tests.needs import needs

EVIL = '<img src=x onerror="document.title=1">'


@asynccontextmanager
async def browsed(folder: Path, width: int = 390) -> AsyncIterator[tuple[Page, str]]:
    """A browser before a hub that knows Root; nobody is signed in. Whatever its console says is an error."""
    needs("chromium", "chromium")
    async with opened("hub.db", folder) as store:
        await store.take_layouts([], audit("mill-1", "layouts"))
        await store.take_events([Event(NOW, "problem", "meter", "<b>" + 30 * " words", 1)], "e", audit("mill-1"))
        app = build_hub(HubConfig(store="hub.db"), store, SystemClock(), STATIC, [guard.headers], QUICK)
        await app[SIGNED].people.add("root", "a password of root", [Grant(Role.ADMIN)], 0)
        async with TestServer(app) as server, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = await browser.new_page(viewport={"width": width, "height": 800})
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            yield page, str(server.make_url("/"))
            await browser.close()
            assert not errors


async def sign_in(page: Page, name: str, password: str) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_label("Password").press("Enter")


async def fits(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize("width", [390, 1280])
async def test_people_and_sites_are_made_on_their_pages(tmp_path: Path, width: int) -> None:
    async with browsed(tmp_path, width) as (page, url):
        await page.goto(f"{url}sites")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await sign_in(page, "root", "wrong")
        await expect(page.get_by_role("alert")).to_have_text("unknown name or wrong password")
        await sign_in(page, "root", "a password of root")
        await expect(page).to_have_url(f"{url}sites")

        make = page.locator("form[data-send='POST /api/v1/organisations']")
        await make.get_by_label("Name", exact=True).fill("Acme")
        await make.get_by_role("button").click()
        await expect(page.locator("[data-organisation=acme]")).to_be_visible()
        make = page.locator("form[data-send='POST /api/v1/sites']")
        await make.get_by_label("Name", exact=True).fill(EVIL)
        await make.get_by_label("Id").fill("mill")
        await make.get_by_label("Time zone").fill("Mars")
        await make.get_by_role("button").click()
        await expect(make.locator("[data-told]")).to_contain_text("'Mars' is no IANA time zone")
        await make.get_by_label("Time zone").fill("Europe/Warsaw")
        await make.get_by_role("button").click()
        await expect(page.locator("[data-site=mill]")).to_contain_text(EVIL)
        assert await fits(page)
        moves = page.locator("form[data-send='PUT /api/v1/nodes/{node}/site']")
        await moves.get_by_label("Node").fill("nobody")
        await moves.get_by_role("button").click()
        await expect(moves.locator("[data-told]")).to_contain_text("not there")
        await moves.get_by_label("Node").fill("mill-1")
        await moves.get_by_role("button").click()
        await expect(page.locator("[data-site=mill]")).to_contain_text("1 nodes")
        await page.get_by_role("link", name="Its gateways").click()
        await page.get_by_role("link", name="mill-1").click()
        await expect(page.get_by_role("cell", name="<b>")).to_be_visible()
        assert await fits(page)

        await page.goto(f"{url}people")
        new = page.locator("form[data-person='POST /api/v1/people']")
        await new.get_by_label("Name").fill("eve")
        await new.get_by_label("Where").fill("acme")
        await new.get_by_role("button", name="One more role").click()
        await new.get_by_label("Role").nth(1).select_option("operator")
        await new.get_by_label("Where").nth(1).fill("acme/mill")
        await new.get_by_role("button", name="Let in").click()
        await expect(new.locator("[data-told]")).to_contain_text("eve may sign in")
        password = str(await new.locator("[data-told]").text_content()).split()[-1]
        await page.reload()
        await expect(page.locator("[data-name=eve]")).to_contain_text("operator in acme, mill")
        await page.locator("[data-name=eve] summary").click()
        assert await fits(page)

        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_url(f"{url}sign-in")
        await sign_in(page, "eve", password)
        await expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
        assert await page.get_by_role("link", name="People").count() == 0
        await page.get_by_role("link", name="eve").click()
        await page.get_by_label("The old one").fill(password)
        await page.get_by_label(re.compile("The new one")).fill("another one of eve")
        await page.get_by_role("button", name="Change it").click()
        await expect(page.locator("form[data-done] [data-told]")).to_contain_text("is changed")
        await page.reload()
        await expect(page.get_by_role("heading", name="eve")).to_be_visible()


async def test_somebody_is_shut_out_and_gets_another_password_on_the_page(tmp_path: Path) -> None:
    async with browsed(tmp_path) as (page, url):
        await page.goto(url)
        await sign_in(page, "root", "a password of root")
        await page.goto(f"{url}people")
        await page.locator("[data-name=root] summary").click()
        await page.get_by_role("button", name="Shut out").click()
        await expect(page.locator("[data-name=root]")).to_contain_text("nobody would be left who may do everything")
        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("button", name="New password").click()
        told = page.locator("[data-password] [data-told]")
        await expect(told).to_contain_text("shown only now")
        password = str(await told.text_content()).split()[-1]
        await page.goto(url)
        await sign_in(page, "root", password)
        await expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
