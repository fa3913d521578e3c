"""Signed-in clients of a hub in this process: a person that is made for it, with the rights that a test wants."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher

import local_ui
from gateway.core.clock import Clock
from local_ui import guard
from sync.hub.app import SIGNED, build_hub
from sync.hub.config import HubConfig
from sync.hub.people.passwords import Passwords
from sync.hub.people.signin import PeopleSignIn
from sync.hub.web.rights import Grant, Role
from tests.hub.stores import opened, place

EVERYTHING = (Grant(Role.ADMIN),)
CONFIG = HubConfig(store="hub.db")
STATIC = Path(local_ui.__file__).parent / "static"
QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))  # for `build_hub`: a test that hashes


@asynccontextmanager
async def hub(
    kind: str, request: pytest.FixtureRequest, folder: Path, clock: Clock, config: HubConfig = CONFIG
) -> AsyncIterator[TestClient[Any, Any]]:  # fmt: skip
    """A client of a new hub on a store of this kind (tests/hub/stores.py); nobody is signed in."""
    async with opened(await place(kind, request), folder) as store:
        app = build_hub(config, store, clock, STATIC, [guard.headers], QUICK)
        async with TestClient(TestServer(app, auto_decompress=False)) as client:
            yield client


async def known(app: web.Application, name: str, grants: tuple[Grant, ...]) -> PeopleSignIn:
    """Have this person known with these grants and no others; nobody knows the password."""
    signed = app[SIGNED]
    people = type(signed.people)(signed.sql, QUICK)
    if not await people.add(name, "nobody knows it", grants, 0):
        await people.change(name, grants, disabled=False)
    return signed


async def access_token(app: web.Application, *grants: Grant, name: str = "ann") -> str:
    """Of a person that has `grants`, or all rights if none are given."""
    signed = await known(app, name, grants or EVERYTHING)
    given = await signed.sessions.begin(name, signed.now())
    return (await signed.access(given)).token


async def sign_in(client: TestClient[Any, Any], *grants: Grant, name: str = "ann") -> None:
    """All that `client` asks from now on is asked by that person, with an access token."""
    assert client.app is not None
    token = await access_token(client.app, *grants, name=name)
    client.session.headers["Authorization"] = f"Bearer {token}"


async def bearer(app: web.Application, *grants: Grant, name: str = "ann") -> dict[str, str]:
    """The header of one request."""
    return {"Authorization": f"Bearer {await access_token(app, *grants, name=name)}"}


async def cookie(server: TestServer, *grants: Grant, name: str = "ann") -> dict[str, str]:
    """The session of a browser, as playwright's `context.add_cookies` takes it."""
    signed = await known(server.app, name, grants or EVERYTHING)
    token = await signed.sessions.open(name, signed.now())
    return {"name": signed.cookie, "value": token, "url": str(server.make_url("/"))}
