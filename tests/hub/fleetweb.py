"""The hub's fleet work over real HTTP, as one caller sees it: configurations, roll-outs, commands' course."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import local_ui
import sync.hub
from local_ui import guard
from sync.hub.fleet.commandapi import CommandApi
from sync.hub.fleet.part import FleetWork
from sync.hub.intake.door import Door
from sync.hub.people.acts import Acts
from sync.hub.web.api import Api
from sync.hub.web.rights import Caller, Grant, Role
from sync.hub.web.shell import Shell
from sync.hub.web.sse import Pace
from sync.hub.web.tenants import Tenants
from tests.hub.signing import SignedIn
from tests.hub.test_rollouts import Hub

EVERYWHERE = Grant(Role.ADMIN)


@asynccontextmanager
async def signed_in(
    hub: Hub, *grants: Grant, pace: Pace | None = None
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """A browser of somebody with these grants."""
    app = web.Application(middlewares=[guard.headers])
    api = Api(SignedIn(Caller("Ann", grants or (EVERYWHERE,))), Tenants(hub.store.sql), hub.clock)
    work = FleetWork(app, hub.store, Door(hub.store, hub.clock), hub.fleet, Acts(hub.store.sql), hub.clock, pace)
    api.add(app, (*CommandApi(hub.fleet, hub.store.control, Acts(hub.store.sql)).routes(), *work.routes()))
    Shell(api).add(app, work.pages())
    app.router.add_static("/static", Path(local_ui.__file__).parent / "static")
    app.router.add_static("/hub", Path(sync.hub.__file__).parent / "static")
    async with TestClient(TestServer(app)) as client:
        yield client
