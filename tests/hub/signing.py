"""A hub's API as one caller has it, on a store with two organisations of two sites each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.model import Layout, Record
from sync.hub.api import Api, Route, in_json
from sync.hub.rights import Caller, Grant, Role
from sync.hub.store import Store
from sync.hub.tenants import Tenants
from tests.hub.clock import NOW, StoppedClock
from tests.hub.stores import audit

EVERYWHERE = Caller("root", (Grant(Role.ADMIN),))
OF_NORTH = Caller("nora", (Grant(Role.VIEWER, "north"),))
OF_MILL = Caller("mia", (Grant(Role.VIEWER, "north", "mill"),))
SITES = {"north": ("mill", "farm"), "south": ("dam", "quay")}

ORGANISATION = "INSERT INTO organisation (id, name, created) VALUES ($1, $1, 0)"
SITE = "INSERT INTO site (id, organisation, name, timezone, created) VALUES ($1, $2, $3, $4, 0)"
STANDS = "UPDATE node SET site = $1 WHERE id = $2"


class SignedIn:
    """Meets `SignIn`: whoever asks is the caller `is_now`; None: nobody is signed in."""

    def __init__(self, caller: Caller | None) -> None:
        self.is_now = caller

    async def caller(self, request: web.Request) -> Caller | None:
        return self.is_now


async def settle(store: Store, timezone: str = "Europe/Warsaw") -> None:
    """Organisations and sites; each site has a node of its own name with -1 behind."""
    async with store.sql.transaction() as db:
        for organisation, sites in SITES.items():
            await db.execute(ORGANISATION, organisation)
            for site in sites:
                await db.execute(SITE, site, organisation, f"The {site.title()}", timezone)
    for site in [site for sites in SITES.values() for site in sites]:
        await store.take_layouts([], audit(f"{site}-1", "layouts", at=NOW))
        async with store.sql.transaction() as db:
            await db.execute(STANDS, site, f"{site}-1")


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
