"""A hub's API as one caller has it, on a store with two organisations of two sites each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.model import Layout, Record
from sync.hub.store.contract import Store
from sync.hub.web.api import Api, Route, in_json
from sync.hub.web.rights import Caller, Grant, Role
from sync.hub.web.tenants import Tenants
from tests.hub.clock import NOW, StoppedClock
from tests.hub.places import put_node, put_site
from tests.hub.stores import audit

EVERYWHERE = Caller("root", (Grant(Role.ADMIN),))
OF_NORTH = Caller("nora", (Grant(Role.VIEWER, "north"),))
OF_MILL = Caller("mia", (Grant(Role.VIEWER, "north", "mill"),))
SITES = {"north": ("mill", "farm"), "south": ("dam", "quay")}


class SignedIn:
    """Meets `SignIn`: whoever asks is the caller `is_now`; None: nobody is signed in."""

    def __init__(self, caller: Caller | None) -> None:
        self.is_now = caller

    async def caller(self, request: web.Request) -> Caller | None:
        return self.is_now


async def settle(store: Store, timezone: str = "Europe/Warsaw") -> None:
    """Organisations and sites; each site has a node of its own name with -1 behind."""
    for organisation, sites in SITES.items():
        for site in sites:
            await put_site(store.sql, site, organisation, f"The {site.title()}", timezone)
            await store.take_layouts([], audit(f"{site}-1", "layouts", at=NOW))
            await put_node(store.sql, f"{site}-1", site)


async def keep(store: Store, node: str, layout: Layout, records: Sequence[Record]) -> None:
    await store.take_layouts([layout], audit(node, "layouts", at=NOW))
    await store.take_records(records, audit(node, at=NOW))


@asynccontextmanager
async def client(
    store: Store,
    routes: Sequence[Route[Any, Any]],
    caller: Caller | None = EVERYWHERE,
    clock: StoppedClock | None = None,
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application(middlewares=[in_json])
    Api(SignedIn(caller), Tenants(store.sql), clock or StoppedClock()).add(app, routes)
    async with TestClient(TestServer(app)) as opened:
        yield opened
