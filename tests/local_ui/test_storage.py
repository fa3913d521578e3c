"""The storage page: how full, how thin, how much is written; and the button that writes less."""

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import expect

from gateway.core.credential import digest
from gateway.core.status import BufferState, ThinnedRange
from local_ui.app import build_app
from local_ui.storageview import pace_view, storage_view, wear_text
from tests.local_ui.parts import NOW, FakeSite, device
from tests.local_ui.test_app import page
from tests.local_ui.test_page_in_browser import browsed
from tests.values import password

HOUR_MS = 3_600_000
BASE = NOW // HOUR_MS * HOUR_MS
FULL = BufferState(
    123_456_789, 3_912_000_000, "", 42, 7, 4_000_000_000, BASE, 1760, 1, 1, 2_000_000_000, 41.07,
    warning="the budget is too small",
)  # fmt: skip
RANGES = [
    ThinnedRange(BASE - 2000 * HOUR_MS, BASE - 500 * HOUR_MS, HOUR_MS, 5_600_000, 1600),
    ThinnedRange(BASE - 500 * HOUR_MS, BASE - 240 * HOUR_MS, 60_000, 1_800_000, 31_200),
]
PACE = "/api/v1/storage/pace"


def full_site() -> FakeSite:
    site = FakeSite(device())
    site.buffer, site.ranges = FULL, RANGES
    return site


async def test_the_page_tells_size_budget_thinning_and_what_a_card_lasts() -> None:
    async with page(full_site()) as client:
        text = await (await client.get("/storage")).text()
        part = await (await client.get("/part/storage")).text()
        home = await (await client.get("/")).text()
    for said in ("3.9 GB", "97.8% of its budget of 4.0 GB", "The budget is too small", "one an hour", "5,600,000",
                 "2.0 GB", "at this rate a card good for 30 TB lasts 41 years"):  # fmt: skip
        assert said in text
        assert said in part
    assert 'href="/storage"' in home


async def test_what_is_not_known_is_not_shown_as_nothing() -> None:
    site = FakeSite(device())
    site.buffer = BufferState(5, 1_000_000, budget=4_000_000_000)
    async with page(site) as client:
        text = await (await client.get("/storage")).text()
    assert "not known: the first minute, or a disk that does not count" in text
    assert "Nothing was thinned." in text
    assert "less than 0.1% of its budget" in text
    assert "<dd>0 h</dd><small></small>" in text


def test_only_the_newest_ranges_are_listed_and_the_others_counted() -> None:
    site = FakeSite()
    ranges = [ThinnedRange(n * 2 * HOUR_MS, (n * 2 + 1) * HOUR_MS, 60_000, 1, 1) for n in range(130)]
    view = storage_view(site.state(), ranges)
    assert len(view["ranges"]) == 100
    assert view["ranges"][0]["since"] == "1970-01-11 18:00"
    assert view["more_ranges"] == "30"


@pytest.mark.parametrize(
    ("commit_s", "configured_s", "offered"),
    [
        (1, 1, ["10"]),
        (10, 1, ["null"]),
        (1, 5, ["10", "null"]),
        (5, 5, ["10", "1"]),
        (30, 30, ["1"]),
        (1, 10, ["null"]),
        (0.5, 1, ["10", "null"]),
    ],
)
def test_the_buttons_offer_what_is_not_chosen_yet_each_once(
    commit_s: float, configured_s: float, offered: list[str]
) -> None:
    buffer = BufferState(0, 0, commit_s=commit_s, configured_s=configured_s)
    assert [button["commit_s"] for button in pace_view(buffer)["buttons"]] == offered


@pytest.mark.parametrize(
    ("years", "said"), [(0.1, "36 days"), (0.5, "6 months"), (3.2, "3 years"), (900, "more than 100 years")]
)
def test_a_life_is_told_in_words(years: float, said: str) -> None:
    buffer = BufferState(0, 0, written_per_day=round(30e12 / 365.25 / years), card_years=years)
    assert wear_text(buffer).endswith(f"a card good for 30 TB lasts {said}")


async def test_the_pace_is_set_and_taken_back_to_the_configuration() -> None:
    site = FakeSite()
    async with page(site) as client:
        for wanted, got in ((10, 10), (None, 1)):
            async with client.post(PACE, json={"commit_s": wanted}) as answer:
                assert (answer.status, await answer.json()) == (200, {"commit_s": got})
    assert site.buffer.commit_s == 1


@pytest.mark.parametrize(
    "body", ['{"commit_s": 0}', '{"commit_s": 601}', '{"commit_s": "10"}', "{}", "[", '{"x": 1}', ""]
)
async def test_a_pace_that_cannot_be_is_refused_in_words(body: str) -> None:
    site = FakeSite()
    async with page(site) as client:
        answer = await client.post(PACE, data=body, headers={"Content-Type": "application/json"})
        assert (answer.status, "commit_s" in (await answer.json())["error"]) == (400, True)
        assert "$" not in (await answer.json())["error"]  # our words, not the parser's
    assert site.buffer.commit_s == 1


@pytest.mark.P11
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Origin": "http://elsewhere.example"},
        {"Content-Type": "application/json", "Origin": "null"},
    ],
)
async def test_another_sites_page_cannot_set_the_pace(headers: dict[str, str]) -> None:
    site = FakeSite()
    async with page(site) as client:
        answer = await client.post(PACE, data='{"commit_s": 10}', headers=headers)
        assert answer.status == 403
    assert site.buffer.commit_s == 1


@pytest.mark.P11
async def test_the_pace_is_not_set_without_the_password() -> None:
    site = FakeSite()
    async with (
        TestServer(build_app(site, password_sha256=digest("right"))) as server,
        aiohttp.ClientSession() as client,
    ):
        url = server.make_url(PACE)
        origin = {"Origin": f"http://{url.host}:{url.port}"}
        async with client.post(url, json={"commit_s": 10}, headers=origin) as refused:
            assert (refused.status, site.buffer.commit_s) == (401, 1)
        async with client.post(url, json={"commit_s": 10}, headers=origin | password("right")) as taken:
            assert (taken.status, site.buffer.commit_s) == (200, 10)


async def test_metrics_tell_of_the_storage() -> None:
    async with page(full_site()) as client:
        lines = (await (await client.get("/metrics")).text()).splitlines()
    for line in ("holdfast_buffer_budget_bytes 4e+09", "holdfast_buffer_pending_records 42.0",
                 "holdfast_buffer_dropped_records_total 7.0", "holdfast_thinned_hours 1760.0",
                 "holdfast_disk_written_bytes_per_day 2e+09"):  # fmt: skip
        assert line in lines
    assert any(line.startswith("holdfast_buffer_oldest_timestamp_seconds 1.7") for line in lines)


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desktop", "light")])
async def test_the_button_writes_less_and_the_page_fits(size: str, scheme: str) -> None:
    site = full_site()
    site.buffer = msgspec.structs.replace(FULL, error="e" * 300)
    async with browsed(site, size, scheme) as (tab, server, complaints):
        await tab.goto(str(server.make_url("/storage")))
        await expect(tab.locator("[data-stream]")).to_have_text("live")
        assert await tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await tab.get_by_role("button", name="Write less: commit every 10 s").click()
        await tab.get_by_role("button", name="As the configuration says: every second").click()
        await expect(tab.get_by_role("button", name="Write less: commit every 10 s")).to_be_visible()
    assert site.buffer.commit_s == 1
    assert complaints == []


async def test_a_table_that_was_moved_sideways_on_a_phone_stays_there_when_it_is_brought_up_to_date() -> None:
    site = full_site()
    async with browsed(site, "phone", "light") as (tab, server, _):
        await tab.goto(str(server.make_url("/storage")))
        await expect(tab.locator("[data-stream]")).to_have_text("live")
        await tab.evaluate("document.querySelector('.scroll').scrollLeft = 100")
        site.buffer = msgspec.structs.replace(FULL, head=123_456_790)
        await expect(tab.get_by_text("123,456,790")).to_be_visible()
        assert await tab.evaluate("document.querySelector('.scroll').scrollLeft") == 100
