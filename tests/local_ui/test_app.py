"""The page and its API over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.credential import digest
from gateway.core.status import ClockState, History
from local_ui.app import build_app
from tests.local_ui.parts import FakeSite, device
from tests.values import password

Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def page(site: FakeSite, secret: str | None = None) -> AsyncIterator[Client]:
    app = build_app(site, password_sha256=secret and digest(secret))
    async with TestClient(TestServer(app)) as client:
        yield client


async def next_view(stream: aiohttp.ClientResponse) -> dict[str, list[dict[str, object]]]:
    while not (line := await stream.content.readline()).startswith(b"data: "):
        assert line, "the stream ended"
    view: dict[str, list[dict[str, object]]] = msgspec.json.decode(line.removeprefix(b"data: "))
    return view


async def test_the_page_is_whole_without_any_script() -> None:
    async with page(FakeSite(device())) as client:
        text = await (await client.get("/")).text()
    assert "Mill" in text
    assert "1,234" in text
    assert "The hub has everything" in text


@pytest.mark.parametrize(("records", "said"), [(0, None), (1, "1 record with imp"), (12, "12 records with impossible")])
async def test_records_that_were_set_aside_are_counted_on_the_card(records: int, said: str | None) -> None:
    async with page(FakeSite(msgspec.structs.replace(device(), doubtful=records))) as client:
        text = await (await client.get("/")).text()
    assert said in text if said else "impossible" not in text


async def test_what_devices_are_called_is_escaped() -> None:
    async with page(FakeSite(device("<script>alert(1)</script>"))) as client:
        text = await (await client.get("/")).text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


async def test_the_stream_brings_everything_first_and_then_what_changed() -> None:
    site = FakeSite(device("a"), device("b"))
    async with page(site) as client, client.get("/api/v1/stream") as stream:
        assert [one["name"] for one in (await next_view(stream))["devices"]] == ["a", "b"]
        site.change(device("b", 5.0))
        (changed,) = (await next_view(stream))["devices"]
        assert changed["name"] == "b"
        assert "'text': '5'" in str(changed["points"])


async def test_a_stop_ends_open_streams() -> None:
    server = TestServer(build_app(FakeSite(device()), password_sha256=None))
    async with TestClient(server) as client, client.get("/api/v1/stream") as stream:
        await next_view(stream)
        async with asyncio.timeout(20):  # the default is to wait a minute for open requests
            await server.close()


@pytest.mark.P11
@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/state", "/api/v1/view", "/api/v1/stream", "/api/v1/history", "/api/v1/energy", "/static/app.css"],
)
async def test_nothing_is_shown_without_the_password(path: str) -> None:
    async with page(FakeSite(device()), secret="right") as client:
        assert (await client.get(path)).status == 401
        wrong = await client.get(path, headers=password("wrong"))
        assert wrong.status == 401
        async with client.get(path, headers=password("right")) as right:
            assert right.status in (200, 404)
        assert (await client.get("/healthz")).status == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("device=Meter&key=active_power", 200), ("device=Meter&key=none", 404), ("device=x&key=active_power", 404),
        ("device=Meter&key=active_power&minutes=0", 400), ("device=Meter&key=active_power&minutes=soon", 400),
        ("device=Meter&key=active_power&minutes=99999999999", 400), ("", 404),
        ("device=Meter&key=active_power&minutes=" + 5000 * "9", 400),
    ],
)  # fmt: skip
async def test_history_answers_or_says_what_is_wrong(query: str, status: int) -> None:
    async with page(FakeSite(device())) as client:
        response = await client.get(f"/api/v1/history?{query}")
        answer = await response.json()
    assert response.status == status
    assert answer["rows"][1][1] is None if status == 200 else answer["error"]


async def test_history_says_its_resolution_and_is_asked_by_dates_too() -> None:
    async with page(FakeSite(device())) as client:
        query = "device=Meter&key=active_power&from=2026-03-01&to=2026-04-01&resolution=1h"
        answer = await (await client.get(f"/api/v1/history?{query}")).json()
        assert answer["resolution"] == "1h"
        assert answer["rows"][1][0] == 1_774_994_400_000, "midnight at the site"
        refused = await client.get(f"/api/v1/history?{query.replace('1h', 'raw')}")
        assert (refused.status, (await refused.json())["error"]) == (400, "resolution: raw is for at most 2 days")


async def test_energy_comes_by_the_days_of_the_site_with_their_sum() -> None:
    async with page(FakeSite(device())) as client:
        query = "device=Meter&key=active_power&from=2026-03-28&to=2026-03-30"
        answer = await (await client.get(f"/api/v1/energy?{query}")).json()
        assert [row[0] for row in answer["rows"]] == [1_774_652_400_000, 1_774_738_800_000]
        assert (answer["per"], answer["total"], answer["recovered"]) == ("day", 3.0, 1.0)
        assert (await client.get(f"/api/v1/energy?{query}&per=week")).status == 400
        assert (await client.get(f"/api/v1/energy?{query.replace('power', 'none')}")).status == 404


async def test_charts_wait_for_each_other_so_that_commits_do_not_wait_for_them() -> None:
    class Slow(FakeSite):
        begun, most = 0, 0
        may_end = asyncio.Event()

        async def history(self, *asked: Any) -> History:
            self.begun += 1
            self.most = max(self.most, self.begun)
            await self.may_end.wait()
            self.begun -= 1
            return await super().history(*asked)

    site = Slow(device())
    async with page(site) as client:
        query = "/api/v1/history?device=Meter&key=active_power"
        asked = [asyncio.ensure_future(client.get(query)) for _ in range(9)]
        while site.begun < 2:
            await asyncio.sleep(0)
        assert (await client.get("/api/v1/state")).status == 200
        site.may_end.set()
        assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
    assert site.most == 2


@pytest.mark.parametrize("path", ["history", "energy"])
async def test_a_disk_that_gives_nothing_is_said_in_a_sentence(path: str) -> None:
    site = FakeSite(device())
    site.broken = True
    async with page(site) as client:
        answer = await client.get(f"/api/v1/{path}?device=Meter&key=active_power")
        assert answer.status == 503
        assert "disk I/O error" in (await answer.json())["error"]


async def test_other_pages_and_hosts_are_kept_out_by_headers() -> None:
    async with page(FakeSite(device())) as client:
        for path in ("/", "/api/v1/state", "/api/v1/stream", "/static/app.css", "/no/such/page"):
            async with client.get(path) as response:
                assert response.headers["Content-Security-Policy"].startswith("default-src 'self';")
                assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_buses_page_shows_each_unit_and_the_doctors_advice() -> None:
    async with page(FakeSite(device())) as client:
        text = await (await client.get("/buses")).text()
        assert text.count("cabinet") == (await (await client.get("/part/buses")).text()).count("cabinet")
    assert "unit 9 never answered: check its power." in text
    assert "99.0 %" in text
    assert "31 ms" in text
    assert "Meter &lt;3&gt;" in text


async def test_metrics_can_be_scraped() -> None:
    site = FakeSite(device())
    site.clock = ClockState(known=False, source="estimate", offset_ms=-2500, steps=3)
    async with page(site) as client:
        answer = await client.get("/metrics")
        lines = (await answer.text()).splitlines()
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'holdfast_device_online{device="Meter",role="grid"} 1.0' in lines
    unit = 'bus="cabinet",device="Meter <3>",unit="3"'
    for line in (
        'holdfast_unit_questions_total{bus="cabinet",device="Meter <3>",outcome="timeout",unit="3"} 6.0',
        'holdfast_unit_exceptions_total{bus="cabinet",code="2",device="Meter <3>",unit="3"} 5.0',
        f"holdfast_unit_late_replies_total{{{unit}}} 2.0",
        "holdfast_records_total 1500.0",
        "holdfast_clock_known 0.0",
        "holdfast_clock_offset_seconds -2.5",
        "holdfast_clock_steps_total 3.0",
    ):
        assert line in lines


async def test_the_connection_log_of_a_device_is_served() -> None:
    async with page(FakeSite(device())) as client:
        body = await (await client.get("/api/v1/contacts", params={"device": "Meter"})).json()
        assert (await client.get("/api/v1/contacts", params={"device": "nobody"})).status == 404
        page_text = await (await client.get("/contacts", params={"device": "Meter"})).text()
        assert (await client.get("/contacts", params={"device": "<nobody>"})).status == 404
        assert 'href="/contacts?device=Meter%20%3C3%3E"' in await (await client.get("/buses")).text()
    assert body["contacts"][0]["error"] == "no answer"
    assert "2026-09-21 14:13:20" in page_text
    assert "31 ms" in page_text
