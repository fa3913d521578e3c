"""What every answer of the hub has, and what a wrong address meets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from local_ui import guard
from sync.hub.app import build_hub
from sync.hub.config import HubConfig, PeopleConfig
from tests.hub.clock import StoppedClock
from tests.hub.enrolling import Hub
from tests.hub.signed import QUICK, STATIC
from tests.hub.stores import opened


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
