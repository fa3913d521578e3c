"""The hub's page: how far the hub is, what it refuses, and the buttons that do something about it."""

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from playwright.async_api import expect

from gateway.core.credential import digest
from gateway.core.errors import CodecError, StorageError
from gateway.core.status import RefusedLine, StreamState, SyncState
from gateway.core.syncwording import hub_facts, hub_text
from local_ui.app import build_app
from local_ui.syncview import sync_view
from tests.local_ui.parts import NOW, FakeSite, device
from tests.local_ui.test_app import Client
from tests.local_ui.test_page_in_browser import browsed

HOUR_MS = 3_600_000
RECORDS = StreamState(
    "records", 1_234_567, 34_567, NOW - 30 * HOUR_MS, NOW - 2000, 1203.4, 28.7, "the hub does not answer: try <this>", 4
)
EVENTS = StreamState("events", 40, newest_sent=NOW - 5 * HOUR_MS)
AWAY = SyncState(
    "https://hub.example:8443", False, 34_567, NOW - 90_000, "the hub does not answer", (RECORDS, EVENTS), "https",
    102, 4_200_000, 5_000_000, NOW - HOUR_MS, 240, 3,
)  # fmt: skip
CARRY, RECEIPT = "/api/v1/sync/carry", "/api/v1/sync/receipt"
BYTES = {"Content-Type": "application/octet-stream"}
RESEND, COMPARE = "/api/v1/sync/quarantine/resend", "/api/v1/sync/compare"


def line(number: int, *, again: bool = False) -> RefusedLine:
    return RefusedLine(
        number, "records", "0123456789abcdef", number, NOW - number, "Meter", "live", "a time before <1970>", NOW,
        again, {"active_power": None},
    )  # fmt: skip


class FakeDoor:
    """Meets `local_ui.sync.SyncDoor`."""

    def __init__(self, entries: int = 102) -> None:
        self.lines = [line(number) for number in range(entries, 0, -1)]
        self.asked: list[object] = []
        self.broken_after = -1
        self.carried = [b"a first piece, ", b"a second"]

    async def refused(self, limit: int) -> list[RefusedLine]:
        return self.lines[:limit]

    async def all_refused(self) -> AsyncGenerator[RefusedLine, None]:
        for number, one in enumerate(self.lines):
            if number == self.broken_after:
                raise StorageError("buffer.db: disk I/O error")
            yield one

    async def send_again(self, ids: Sequence[int] | None) -> None:
        self.asked.append(ids)
        wanted = [one.id for one in self.lines] if ids is None else ids
        self.lines = [msgspec.structs.replace(one, again=one.again or one.id in wanted) for one in self.lines]

    async def compare(self) -> None:
        self.asked.append("compare")

    async def carry_out(self) -> AsyncGenerator[bytes, None]:
        for number, piece in enumerate(self.carried):
            if number == self.broken_after:
                raise StorageError("buffer.db: disk I/O error", hint="try this")
            yield piece

    async def take_receipt(self, receipt: bytes) -> str:
        if receipt != b"a receipt":
            raise CodecError("it is no receipt", hint="bring the one that the import wrote")
        return "the hub has 7 records of it"


def away() -> FakeSite:
    site = FakeSite(device())
    site.sync = AWAY
    return site


@asynccontextmanager
async def page(site: FakeSite, door: FakeDoor | None) -> AsyncIterator[Client]:
    async with TestClient(TestServer(build_app(site, password_sha256=None, sync=door))) as client:
        yield client


async def test_the_page_tells_of_each_stream_what_waits_since_when_and_what_keeps_it() -> None:
    async with page(away(), FakeDoor()) as client:
        text = await (await client.get("/sync")).text()
        part = await (await client.get("/part/sync")).text()
        home = await (await client.get("/")).text()
    for said in (
        "34,567 records wait for the hub: the hub does not answer", "https://hub.example:8443", "over HTTPS",
        "4.2 MB", "of 5.0 MB a day", "3 hours differ", "1,200,000", "the oldest 30 h old", "1,203/s", "in 28 s",
        "in 4 s",
        "the hub does not answer: try &lt;this&gt;", "nothing waits", "a time before &lt;1970&gt;", "and 2 older ones",
        "Meter, live",
    ):  # fmt: skip
        assert said in text, said
        assert said in part, said
    assert 'href="/sync"' in home


async def test_without_a_hub_nothing_is_offered_and_nothing_can_be_asked_for() -> None:
    site = FakeSite()
    site.sync = SyncState("")
    async with page(site, None) as client:
        text = await (await client.get("/sync")).text()
        assert "No hub; everything stays here" in text
        assert "<button" not in text
        for route, body in ((RESEND, {"ids": None}), (COMPARE, {})):
            async with client.post(route, json=body) as answer:
                assert (answer.status, await answer.json()) == (404, {"error": "this site has no hub"})
        assert (await client.get("/api/v1/sync/quarantine")).status == 404
        assert (await client.get(CARRY)).status == 404
        assert (await client.post(RECEIPT, data=b"a receipt")).status == 404


def test_what_is_not_known_is_not_shown_as_nothing() -> None:
    site = FakeSite()
    site.sync = SyncState("https://hub.example", streams=(StreamState("records", 7, 7),))
    view = sync_view(site.state(), [], ZoneInfo("Europe/Berlin"))
    hub, records = ({fact["name"]: fact for fact in facts} for facts in (view["facts"], view["streams"][0]["facts"]))
    assert (hub["Last acknowledged"]["text"], hub["Last acknowledged"]["more"]) == ("–", "not since the start")
    assert (hub["Compared"]["text"], hub["Compared"]["more"]) == ("–", "not since the start")
    assert (records["Newest at the hub"]["text"], records["All sent"]["text"]) == ("–", "not known")
    assert records["Waiting"]["more"] == ""
    assert "Next attempt" not in records


def test_the_way_and_what_was_compared_are_told_as_they_are() -> None:
    assert hub_text(SyncState("http://10.0.0.7:8090", transport="https")) == "http://10.0.0.7:8090, over HTTP"
    assert hub_text(SyncState("https://hub.example", transport="https")) == "https://hub.example, over HTTPS"
    assert hub_text(SyncState("amqps://broker", transport="amqp")) == "amqps://broker, over AMQP"
    for hours, said in ((0, "–"), (240, "no difference")):
        state = SyncState("https://hub.example", compared_at=NOW - 1000, compared=hours)
        assert {fact.name: fact.text for fact in hub_facts(state, NOW, UTC)}["Compared"] == said


def test_times_are_those_of_the_site_and_its_zone_is_named() -> None:
    view = sync_view(away().state(), [], ZoneInfo("Asia/Kolkata"))
    assert view["zone"] == "Asia/Kolkata"
    assert view["facts"][0]["more"] == "2026-09-21 19:41:50"


async def test_the_state_comes_as_json() -> None:
    async with page(away(), FakeDoor()) as client:
        answer = await (await client.get("/api/v1/sync")).read()
    assert msgspec.json.decode(answer, type=SyncState) == AWAY


async def test_metrics_tell_of_it() -> None:
    async with page(away(), FakeDoor()) as client:
        lines = (await (await client.get("/metrics")).text()).splitlines()
    for line in ('holdfast_backlog{stream="records"} 34567.0', "holdfast_quarantined 102.0",
                 "holdfast_sync_bytes_today 4.2e+06", "holdfast_differing_hours 3.0"):  # fmt: skip
        assert line in lines


async def test_all_of_the_quarantine_is_downloaded_an_object_a_line() -> None:
    door = FakeDoor()
    async with page(away(), door) as client, client.get("/api/v1/sync/quarantine") as answer:
        lines = (await answer.read()).splitlines()
        assert answer.headers["Content-Disposition"] == 'attachment; filename="quarantine.ndjson"'
    assert [msgspec.json.decode(one, type=RefusedLine) for one in lines] == door.lines


async def test_what_waits_is_downloaded_as_one_file() -> None:
    async with page(away(), FakeDoor()) as client, client.get(CARRY) as answer:
        assert await answer.read() == b"a first piece, a second"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="unsent.carry"'


@pytest.mark.parametrize(("route", "after"), [("/api/v1/sync/quarantine", 50), (CARRY, 1)])
async def test_a_download_that_the_disk_cuts_off_does_not_look_whole(route: str, after: int) -> None:
    door = FakeDoor()
    door.broken_after = after
    async with page(away(), door) as client:
        with pytest.raises(aiohttp.ClientError):
            await (await client.get(route)).read()


async def test_a_download_that_cannot_begin_says_why() -> None:
    door = FakeDoor()
    door.broken_after = 0
    async with page(away(), door) as client, client.get(CARRY) as answer:
        assert (answer.status, await answer.json()) == (503, {"error": "buffer.db: disk I/O error; try this"})


async def test_one_download_of_what_waits_at_a_time() -> None:
    class Slow(FakeDoor):
        may_end = asyncio.Event()

        async def carry_out(self) -> AsyncGenerator[bytes, None]:
            yield b"a first piece, "
            await self.may_end.wait()
            yield b"a second"

    async with page(away(), Slow()) as client, client.get(CARRY) as first:
        async with client.get(CARRY) as second:
            assert (second.status, "already" in (await second.json())["error"]) == (503, True)
        Slow.may_end.set()
        assert await first.read() == b"a first piece, a second"
        assert (await client.get(CARRY)).status == 200


async def test_a_receipt_is_taken_or_refused_in_words() -> None:
    async with page(away(), FakeDoor()) as client:
        async with client.post(RECEIPT, data=b"a receipt") as answer:
            assert (answer.status, await answer.json()) == (200, {"told": "the hub has 7 records of it"})
        async with client.post(RECEIPT, data=io.BytesIO(2_000_000 * b"x"), headers=BYTES) as answer:
            told = {"error": "it is no receipt; bring the one that the import wrote"}
            assert (answer.status, await answer.json()) == (400, told)


@pytest.mark.parametrize("ids", [[3, 4], None])
async def test_entries_or_all_are_sent_again(ids: list[int] | None) -> None:
    door = FakeDoor()
    async with page(away(), door) as client:
        assert (await client.post(RESEND, json={"ids": ids})).status == 200
        assert (await client.post(COMPARE, json={})).status == 200
    assert door.asked == [ids, "compare"]


@pytest.mark.parametrize("body", ["{}", "[", '{"ids": ["3"]}', '{"ids": 3}', '{"ids": null, "x": 1}', ""])
async def test_a_wish_that_cannot_be_is_refused_in_words(body: str) -> None:
    door = FakeDoor()
    async with page(away(), door) as client:
        answer = await client.post(RESEND, data=body, headers={"Content-Type": "application/json"})
        assert (answer.status, "ids" in (await answer.json())["error"]) == (400, True)
    assert door.asked == []


@pytest.mark.P11
@pytest.mark.parametrize("route", [RESEND, COMPARE, RECEIPT])
async def test_another_sites_page_can_ask_for_nothing(route: str) -> None:
    door, own = FakeDoor(), "application/octet-stream" if route == RECEIPT else "application/json"
    async with page(away(), door) as client:
        for headers in ({"Content-Type": "text/plain"}, {"Content-Type": own, "Origin": "http://x"}):
            assert (await client.post(route, data='{"ids": null}', headers=headers)).status == 403
    assert door.asked == []


@pytest.mark.P11
@pytest.mark.parametrize("route", ["/sync", "/part/sync", "/api/v1/sync", "/api/v1/sync/quarantine", CARRY])
async def test_nothing_of_it_is_shown_without_the_password(route: str) -> None:
    app = build_app(away(), password_sha256=digest("right"), sync=FakeDoor())
    async with TestClient(TestServer(app)) as client:
        assert (await client.get(route)).status == 401


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desktop", "light")])
async def test_the_buttons_work_and_the_page_fits(size: str, scheme: str) -> None:
    site, door = away(), FakeDoor()
    long = msgspec.structs.replace(RECORDS, error="e" * 300)
    site.sync = msgspec.structs.replace(AWAY, hub=f"https://{'h' * 200}", error="e" * 300, streams=(long, EVENTS))
    async with browsed(site, size, scheme, door, "/sync") as (tab, _, complaints):
        await expect(tab.locator("[data-stream]")).to_have_text("live")
        assert await tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await tab.get_by_role("button", name="Compare both ends now").click()
        await tab.get_by_role("button", name="Send again").first.click()
        await expect(tab.get_by_text("is sent again")).to_have_count(1)
        await tab.get_by_role("button", name="Send all again").click()
        await expect(tab.get_by_text("is sent again")).to_have_count(100)
    assert door.asked == ["compare", [102], None]
    assert complaints == []


async def test_a_press_that_a_refresh_meets_still_counts_and_the_keyboard_stays_where_it_was() -> None:
    door = FakeDoor(5)
    async with browsed(away(), "desktop", "light", door, "/sync") as (tab, _, _):
        await expect(tab.locator("[data-stream]")).to_have_text("live")
        again = tab.get_by_role("button", name="Send again").first
        await again.hover()
        await tab.mouse.down()
        for _ in range(2):  # the first may have been under way
            async with tab.expect_response("**/part/sync"):
                pass
        await tab.mouse.up()
        await expect(tab.get_by_text("is sent again")).to_have_count(1)
        compare = tab.get_by_role("button", name="Compare both ends now")
        await compare.focus()
        door.lines = []
        await expect(tab.get_by_text("is sent again")).to_have_count(0)
        await expect(compare).to_be_focused()
    assert door.asked == [[5]]


async def test_a_receipt_is_brought_back_on_the_page(tmp_path: Path) -> None:
    good, wrong = tmp_path / "good", tmp_path / "wrong"
    good.write_bytes(b"a receipt")
    wrong.write_bytes(b"something else")
    async with browsed(away(), "phone", "light", FakeDoor(), "/sync") as (tab, _, _):
        await tab.locator("[data-receipt]").set_input_files(wrong)
        await expect(tab.locator("[data-refused]")).to_contain_text("it is no receipt; bring the one")
        await tab.locator("[data-receipt]").set_input_files(good)
        await expect(tab.locator("[data-told]")).to_have_text("the hub has 7 records of it")
        await expect(tab.locator("[data-refused]")).to_be_hidden()
        assert await tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
