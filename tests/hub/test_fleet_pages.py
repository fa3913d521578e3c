"""The pages for configurations, commands and roll-outs, in a real browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from gateway.core.model import CommandResult
from sync.hub.web.sse import Pace
from tests.hub.fleetweb import signed_in
from tests.hub.stores import opened
from tests.hub.test_rollouts import Hub
from tests.local_ui.test_page_in_browser import FLAGS
from tests.needs import needs

SIZES = [(390, "dark"), (1280, "light")]


@asynccontextmanager
async def browsed(folder: Path, width: int, scheme: str) -> AsyncIterator[tuple[Hub, Page, str]]:
    """An operator's browser, which says yes to all; whatever its console complains of is an error."""
    needs("chromium", "chromium")
    async with opened("hub.db", folder) as store:
        hub, complaints = Hub(store), list[str]()
        await hub.beats()
        await hub.reports()
        pace = Pace(apart_s=0.01, look_s=0.02)
        async with signed_in(hub, pace=pace) as client, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            dark = "dark" if scheme == "dark" else "light"
            page = await browser.new_page(viewport={"width": width, "height": 800}, color_scheme=dark)
            page.on("dialog", lambda dialog: dialog.accept())
            page.on("pageerror", lambda error: complaints.append(str(error)))
            yield hub, page, str(client.make_url("/"))
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            await browser.close()
        assert not complaints


@pytest.mark.parametrize(("width", "scheme"), SIZES)
async def test_a_configuration_is_edited_ordered_and_seen_to_its_end(tmp_path: Path, width: int, scheme: str) -> None:
    async with browsed(tmp_path, width, scheme) as (hub, page, url):
        await page.goto(f"{url}nodes/n0/configuration")
        text = page.get_by_label("site.yaml")
        await expect(text).to_have_value("site:\n  name: n0\n")
        await text.fill("hub: {secret: in clear}")
        await page.get_by_role("button", name="Order it").click()
        await expect(page.locator("[data-told]")).to_contain_text("hub.secret: secrets do not go through the hub")
        await text.fill("site: {name: New}\n")
        await page.get_by_role("button", name="Order it").click()
        state = page.locator("[data-part] .notice strong")
        await expect(state).to_have_text("pending")
        await expect(page.locator("[data-part] td.added")).to_have_text("New")
        await hub.end("failed", "the pump did not answer any more")
        await expect(state).to_have_text("rolled back")
        await expect(page.locator("[data-part] [data-level=bad]")).to_contain_text("the pump did not answer any more")


@pytest.mark.parametrize(("width", "scheme"), SIZES)
async def test_a_command_is_ordered_by_form_and_its_course_is_live(tmp_path: Path, width: int, scheme: str) -> None:
    async with browsed(tmp_path, width, scheme) as (hub, page, url):
        await page.goto(f"{url}nodes/n0/commands")
        await expect(page.locator("[data-none]")).to_be_visible()
        await expect(page.get_by_label("From")).to_be_hidden()
        await page.get_by_label("What").select_option("RESEND")
        await page.get_by_label("From").fill("2026-11-20T10:00")
        await page.get_by_label("Until").fill("2026-11-20T11:00")
        await page.get_by_label("Why").fill("<b>why")
        await page.get_by_role("button", name="Order it").click()
        line = page.locator("[data-list] li")
        await expect(line).to_contain_text("RESEND queued")
        await expect(line).to_contain_text("<b>why")
        (queued,) = await hub.store.control.queued("n0", hub.clock.wall, 9)
        assert queued.body.startswith('{"since":17')
        await hub.store.control.taken("n0", [queued.id], hub.clock.wall)
        await expect(line).to_contain_text("RESEND taken")
        await hub.store.control.ended("n0", [CommandResult(queued.id, "done", "70 records")], hub.clock.wall)
        await expect(line).to_contain_text("RESEND done")
        await expect(line.locator(".words")).to_have_text("70 records")


@pytest.mark.parametrize(("width", "scheme"), SIZES)
async def test_a_roll_out_is_begun_watched_and_stopped(tmp_path: Path, width: int, scheme: str) -> None:
    async with browsed(tmp_path, width, scheme) as (hub, page, url):
        await page.goto(f"{url}rollouts")
        await page.get_by_label("For").select_option("nodes")
        await page.get_by_label("Its id").fill("n0, n1 n2, nobody")
        await page.get_by_label("What is laid over").fill("site: {timezone: UTC}")
        await page.get_by_role("button", name="Begin").click()
        await expect(page.locator("[data-told]")).to_have_text("not there, or not yours to see")
        await page.get_by_label("Its id").fill("n0, n1 n2")
        await page.get_by_role("button", name="Begin").click()
        state = page.locator("[data-part] .notice strong")
        await expect(state).to_have_text("running")
        await hub.turn()
        await hub.end()
        await expect(page.get_by_role("img", name="1 of 1 well")).to_be_visible()
        await page.get_by_role("button", name="Pause").click()
        await expect(state).to_have_text("paused")
        await page.get_by_role("button", name="Stop").click()
        await expect(state).to_have_text("stopped")
        await expect(page.locator("[data-part] .notice").first).to_contain_text("Ann stopped it")
        await page.get_by_role("button", name="Undo").click()
        await expect(page.locator("article h2 a")).to_have_count(2)
