"""The hub's page, from a real store."""

import math
from contextlib import AbstractAsyncContextManager
from html import unescape
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from playwright.async_api import async_playwright, expect

import local_ui
from gateway.core.credential import digest
from gateway.core.errors import StorageError
from gateway.core.model import Layout, Point, Record
from local_ui import guard
from sync import carry, wire
from sync.hub.app import build_hub
from sync.hub.config import HubConfig, NodeConfig
from sync.hub.reading.fleetpage import FleetPages
from sync.hub.reading.nodes import Nodes, NodesQuery
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.commandstore import Beat
from sync.hub.store.contract import Audit
from sync.hub.store.sql import Row, Work
from sync.hub.store.sqlite import SqliteStore
from sync.hub.web.api import Api
from sync.hub.web.devicecards import device_card
from sync.hub.web.rights import Caller, Grant, Role
from sync.hub.web.shell import Shell
from sync.hub.web.tenants import Tenants
from tests.hub.signed import bearer, cookie, sign_in
from tests.local_ui.test_page_in_browser import FLAGS
from tests.needs import needs
from tests.values import METER, power

NOW = 1_790_000_000_000


class StoppedClock:
    def __init__(self, now: int) -> None:
        self.now = now

    def wall_ms(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return self.now / 1000


async def page_text(folder: Path, now: int, *, layout: Layout = METER, path: str = "/") -> str:
    """The page at `now`, of a node that pushed one reading of 700 W at NOW, which it took 4 s before."""
    store = await SqliteStore.open(folder / "hub.db")
    audit = Audit(NOW, "mill", "records", "", 0)
    await store.take_layouts([layout], audit)
    await store.take_records([power(NOW - 4000, 700, layout=layout)], audit)
    app = build_hub(HubConfig(store="hub.db"), store, StoppedClock(now), folder, [])
    async with TestClient(TestServer(app)) as client:
        await sign_in(client)
        text = await (await client.get(path)).text()
    await store.close()
    return text


async def test_a_node_is_shown_with_its_lag_and_its_last_values(tmp_path: Path) -> None:
    text = await page_text(tmp_path, NOW)
    for part in ("1 of 1 nodes online", "mill", "4 s behind", "1 records", "700"):
        assert part in text


async def test_what_the_last_heartbeat_said_is_shown_and_escaped(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "hub.db")
    beat = wire.Heartbeat("1.2.3", NOW, 1.0, "kernel", backlog=70, problems=("<b> does not answer",))
    await store.control.beat(Beat("mill", NOW, msgspec.json.encode(beat)))
    app = build_hub(HubConfig(store="hub.db"), store, StoppedClock(NOW), tmp_path, [])
    async with TestClient(TestServer(app)) as client:
        await sign_in(client)
        text = await (await client.get("/")).text()
    await store.close()
    assert "release 1.2.3 · 70 records not sent" in text
    assert "&lt;b&gt; does not answer" in text


async def test_a_heartbeat_that_cannot_be_read_hides_no_other_node(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "hub.db")
    await store.control.beat(Beat("dam", NOW, msgspec.json.encode(wire.Heartbeat("1", NOW, math.nan, "kernel"))))
    await store.control.beat(Beat("mill", NOW, msgspec.json.encode(wire.Heartbeat("1.2.3", NOW, 1.0, "kernel"))))
    app = build_hub(HubConfig(store="hub.db"), store, StoppedClock(NOW), tmp_path, [])
    async with TestClient(TestServer(app)) as client:
        await sign_in(client)
        text = await (await client.get("/")).text()
    await store.close()
    assert "2 of 2 nodes online" in text
    assert "release 1.2.3" in text


async def test_a_node_that_was_silent_for_five_minutes_is_offline(tmp_path: Path) -> None:
    assert "1 of 1 nodes online" in await page_text(tmp_path, NOW + 5 * 60_000 - 1)
    assert "0 of 1 nodes online" in await page_text(tmp_path, NOW + 5 * 60_000)


async def test_what_a_node_calls_its_devices_is_escaped(tmp_path: Path) -> None:
    text = await page_text(tmp_path, NOW, layout=Layout("<b>bold", "live", METER.points), path="/part/fleet")
    assert "<b>bold" not in text
    assert "&lt;b&gt;bold" in text


async def test_a_missing_value_is_a_dash_without_a_unit(tmp_path: Path) -> None:
    layout = Layout("tank", "live", (Point("level", "u16", unit="litres"),))
    store = await SqliteStore.open(tmp_path / "hub.db")
    audit = Audit(NOW, "mill", "records", "", 0)
    await store.take_layouts([layout], audit)
    await store.take_records([Record(layout.id, NOW, layout.rows.pack([None]))], audit)
    nodes = Nodes(store.sql)
    lines = await nodes.lines(Caller("operator", (Grant(Role.VIEWER),)), NodesQuery(), NOW)
    (device,) = (await nodes.devices([line.id for line in lines.items], NOW))["mill"]
    await store.close()
    level = {"key": "level", "label": "Level", "text": "\N{EN DASH}", "unit": ""}
    assert device_card(device, NOW)["points"] == [level]


async def test_a_node_that_gave_no_reading_yet_and_a_hub_without_nodes_say_so(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "hub.db")
    app = build_hub(HubConfig(store="hub.db"), store, StoppedClock(NOW), tmp_path, [])
    async with TestClient(TestServer(app)) as client:
        await sign_in(client)
        assert "No node has come in yet" in await (await client.get("/")).text()
        await store.take_layouts([METER], Audit(NOW, "mill", "layouts", "", 0))
        assert "no reading yet" in await (await client.get("/")).text()
    await store.close()


class Anybody:
    """Meets `SignIn`."""

    async def caller(self, request: web.Request) -> Caller:
        return Caller("ann", (Grant(Role.ADMIN),))


async def test_where_the_store_fails_the_pages_say_so(tmp_path: Path) -> None:
    class Gone:
        async def fetch(self, query: str, *parameters: object) -> list[Row]:
            raise StorageError("PostgreSQL db.example/fleet: connection refused")

        def transaction(self) -> AbstractAsyncContextManager[Work]:
            raise StorageError("PostgreSQL db.example/fleet: connection refused")

    store = await SqliteStore.open(tmp_path / "hub.db")
    app, nodes = web.Application(), Nodes(Gone())
    api = Api(Anybody(), Tenants(store.sql), StoppedClock(NOW))
    api.add(app, nodes.routes())
    Shell(api).add(app, FleetPages(nodes, Rollups(store.sql)).pages())
    async with TestClient(TestServer(app)) as client:
        for path in ("/", "/part/fleet", "/api/v1/nodes"):
            answer = await client.get(path)
            text = (await answer.text()).lower()
            assert (answer.status, "the hub's store fails just now" in unescape(text)) == (503, True)
            assert "db.example" not in text, "where it is, is for the log"
    await store.close()


async def test_a_file_that_is_brought_to_the_page_comes_back_as_a_receipt_or_as_words(tmp_path: Path) -> None:
    needs("chromium", "chromium")
    (tmp_path / "photo").write_bytes(b"a photo, perhaps")
    with (tmp_path / "out.carry").open("wb") as file:
        carry.Writer(file, carry.key_of(digest("x")), carry.Opening("batches", "mill", "0" * 16, NOW)).end()
    store = await SqliteStore.open(tmp_path / "hub.db")
    config = HubConfig(store="hub.db", nodes=(NodeConfig(id="mill", secret_sha256=digest("x")),))
    app = build_hub(config, store, StoppedClock(NOW), Path(local_ui.__file__).parent / "static", [guard.headers])
    async with TestServer(app) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        context = await browser.new_context(viewport={"width": 390, "height": 800})
        await context.add_cookies([await cookie(server)])
        page = await context.new_page()
        await page.goto(str(server.make_url("/")))
        await page.click("details.card > summary")
        await page.set_input_files("input[type=file]", tmp_path / "photo")
        await page.click("[data-carry] button")
        told = page.locator("[data-told]")
        await expect(told).to_contain_text("photo: nothing of it was taken: not a file of batches")
        await page.set_input_files("input[type=file]", tmp_path / "out.carry")
        async with page.expect_download() as download:
            await page.click("[data-carry] button")
        await (await download.value).save_as(tmp_path / "receipt")
        await expect(page.locator("[data-told]")).to_contain_text("out.carry: taken")
        assert (await download.value).suggested_filename == "out.carry.receipt"
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await browser.close()
    await store.close()
    with (tmp_path / "receipt").open("rb") as receipt:
        assert list(carry.read(receipt, carry.key_of(digest("x")), "receipt")) == []


@pytest.mark.P11
async def test_the_pages_want_somebody_signed_in(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "hub.db")
    app = build_hub(HubConfig(store="hub.db"), store, StoppedClock(NOW), tmp_path, [])
    async with TestClient(TestServer(app)) as client:
        for path, status in (("/", 303), ("/part/fleet", 401), ("/api/v1/nodes", 401)):
            assert (await client.get(path, allow_redirects=False)).status == status
            assert (await client.get(path, headers=await bearer(app))).status == 200
        assert (await client.get("/healthz")).status == 200
        assert (await client.post(wire.PATH)).status == 401, "the door asks for a node's own secret"
    await store.close()
