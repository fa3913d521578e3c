"""The whole hub with something of everything in it, and a client that is signed in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.credential import digest
from gateway.core.model import Event
from sync import wire
from sync.hub.app import build_hub
from sync.hub.config import HubConfig, NodeConfig, PeopleConfig
from sync.hub.store.commandstore import Beat
from sync.hub.store.contract import Audit, Store
from sync.hub.web.rights import Grant
from tests.hub.clock import NOW, StoppedClock
from tests.hub.signed import QUICK, sign_in
from tests.hub.signing import keep, settle
from tests.hub.stores import audit, opened
from tests.values import METER, power

SECRET = "a secret of the tests"
QUIET = PeopleConfig(requests_per_s=1e6)


async def fill(store: Store) -> None:
    await settle(store)
    for node in ("mill-1", "dam-1"):
        await keep(store, node, METER, [power(NOW - 1000 * n, n) for n in range(1, 400)])
        await store.take_events(
            [Event(NOW - n, "device_offline", "meter", "<b>", n) for n in range(30)], "e", audit(node)
        )
        beat = wire.Heartbeat("1.2.3", NOW, 1.0, "kernel", backlog=70, problems=("<b>",))
        await store.control.beat(Beat(node, NOW, msgspec.json.encode(beat), 70, 1))
    await store.note(Audit(NOW, "mill-1", "records", "c", 10, error="no"))


@asynccontextmanager
async def hub(where: str, folder: Path, *grants: Grant) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    config = HubConfig(store=where, people=QUIET, nodes=(NodeConfig(id="mill-1", secret_sha256=digest(SECRET)),))
    async with opened(where, folder) as store:
        await fill(store)
        app = build_hub(config, store, StoppedClock(), folder, [], QUICK)
        async with TestClient(TestServer(app)) as client:
            await sign_in(client, *grants)
            yield client
