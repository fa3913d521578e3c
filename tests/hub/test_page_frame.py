"""What every answer of the hub has, and what a wrong address meets."""

import html
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from local_ui import guard
from sync.hub.app import build_hub
from sync.hub.config import HubConfig, PeopleConfig
from tests.hub.clock import StoppedClock
from tests.hub.enrolling import Hub
from tests.hub.places import put_node, put_site
from tests.hub.signed import QUICK, STATIC, sign_in
from tests.hub.stores import opened
from tests.sync.certificates import Authority


@asynccontextmanager
async def hub_of(folder: Path, config: HubConfig) -> AsyncIterator[Hub]:
    async with opened("hub.db", folder) as store:
        app = build_hub(config, store, StoppedClock(), STATIC, [guard.headers], QUICK)
        async with TestClient(TestServer(app)) as client:
            yield client


@pytest.mark.parametrize("path", ["/healthz", "/sign-in", "/api/v1/nodes", "/nowhere", "/static/app.css"])
@pytest.mark.parametrize(("url", "header"), [("https://hub.example", "max-age=31536000"), (None, None)])
async def test_a_hub_that_is_reached_by_tls_says_that_it_stays_so(
    tmp_path: Path, path: str, url: str | None, header: str | None
) -> None:
    config = HubConfig(store="hub.db", people=PeopleConfig(public_url=url))
    async with hub_of(tmp_path, config) as hub, hub.get(path) as answer:
        assert answer.headers.get("Strict-Transport-Security") == header


async def test_a_wrong_address_is_told_in_words_with_a_way_on(tmp_path: Path) -> None:
    async with hub_of(tmp_path, HubConfig(store="hub.db")) as hub:
        for path in ("/nowhere", "/nodes/mill/more/of/it", "/<b>"):
            async with hub.get(path) as answer:
                words = await answer.text()
                assert (answer.status, "There is nothing at this address" in words) == (404, True), path
                assert '<a href="/">' in words
                assert "Content-Security-Policy" in answer.headers
        async with hub.get("/api/v1/nowhere") as answer:
            assert answer.content_type == "application/json"


async def test_links_lead_to_nodes_whatever_their_names_are(tmp_path: Path) -> None:
    name = "a b/c?d#e%2F"
    async with opened("hub.db", tmp_path) as store:
        await put_node(store.sql, name)
    async with hub_of(tmp_path, HubConfig(store="hub.db")) as hub:
        await sign_in(hub)
        seen, left = set[str](), {"/", "/?show=table", f"/nodes/{quote(name, safe='')}/configuration"}
        while left:
            path = left.pop()
            seen.add(path)
            async with hub.get(URL(path, encoded=True)) as answer:
                assert answer.status == 200, path
                found = re.findall(r'(?:href|data-part|data-events)="(/(?:part/)?nodes/[^"]*)"', await answer.text())
            left |= {html.unescape(link) for link in found} - seen
        assert f"/nodes/{quote(name, safe='')}" in seen
        assert f"/nodes/{quote(name, safe='')}/commands" in seen


@pytest.mark.parametrize("public", [None, "https://hub.example"])
async def test_the_command_for_a_gateway_says_where_the_hub_is_and_how_it_is_known(
    tmp_path: Path, public: str | None
) -> None:
    signed = Authority(tmp_path).sign("hub")
    config = HubConfig(
        store="hub.db",
        tls_cert=str(signed.certificate),
        tls_key=str(signed.key),
        people=PeopleConfig(public_url=public),
    )
    async with opened("hub.db", tmp_path) as store:
        await put_site(store.sql, "mill", "north")
    async with hub_of(tmp_path, config) as hub:
        await sign_in(hub)
        async with hub.get("/enrol", headers={"Host": "0.0.0.0:8443"}) as answer:
            words = await answer.text()
    address = public or f"http://{socket.gethostname()}:8443"
    assert f'data-address="{address}"' in words
    assert f'data-fingerprint="{"" if public else signed.fingerprint}"' in words
