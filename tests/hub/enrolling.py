"""A hub with two organisations, real stores and the real door; its operators, and gateways that come."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.clock import SystemClock
from gateway.core.errors import HoldfastError
from sync import enrol, wire
from sync.enrol import BrokerAddress
from sync.hub.app import build_hub
from sync.hub.config import HubConfig
from sync.hub.store.contract import Store
from sync.hub.store.sql import Sql
from sync.hub.web.rights import Grant
from tests.hub.places import put_site
from tests.hub.signed import QUICK, sign_in

HERE = Path(__file__).parent
Hub = TestClient[web.Request, web.Application]


class MovedClock(SystemClock):
    """The machine's, and so much later."""

    def __init__(self) -> None:
        self.later_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.later_ms

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.later_ms / 1000


class Broker:
    """Meets `NodesAtBroker`; `failing` is why nothing goes."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.out: set[str] = set()
        self.failing = ""
        self.address = BrokerAddress("amqps://broker.example", "a certificate")

    def _look(self) -> None:
        if self.failing:
            raise HoldfastError(self.failing)

    async def admit(self, node: str, password_hash: str, *, is_new: bool) -> None:
        self._look()
        self.users[node] = password_hash

    async def change(self, node: str, password_hash: str) -> None:
        self._look()
        self.users[node] = password_hash

    async def shut_out(self, node: str) -> None:
        self._look()
        self.out.add(node)

    async def let_in(self, node: str) -> None:
        self._look()
        self.out.discard(node)


@asynccontextmanager
async def hub_of(
    store: Store,
    broker: Broker | None = None,
    clock: MovedClock | None = None,
    config: HubConfig | None = None,
    grants: Sequence[Grant] = (),
) -> AsyncIterator[Hub]:
    await with_sites(store.sql)
    app = build_hub(config or HubConfig(store="hub.db"), store, clock or MovedClock(), HERE, [], QUICK, broker)
    async with TestClient(TestServer(app)) as client:
        await sign_in(client, *grants)
        yield client


async def with_sites(sql: Sql) -> None:
    await put_site(sql, "mill", "north")
    await put_site(sql, "farm", "south")


async def asked(
    hub: Hub, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    async with hub.request(method, path, json=body, headers=headers) as response:
        return response.status, await response.json() if response.content_type == "application/json" else None


async def claim(hub: Hub, site: str = "mill", **body: str) -> str:
    """A new code."""
    status, made = await asked(hub, "POST", f"/api/v1/sites/{site}/claims", body)
    assert status == 201, made
    return str(made["code"])


async def come(hub: Hub, code: str, secret: str, **more: str) -> tuple[int, Any]:
    new = enrol.new_secret(secret)
    body = {"code": code, "secret_sha256": new.sha256, "broker_hash": new.broker_hash, **more}
    return await asked(hub, "POST", enrol.PATH, body)


async def push(hub: Hub, node: str, secret: str, *, epoch: str = "0123456789abcdef", lo: int = 0) -> int:
    """The status that an empty batch meets."""
    headers = {
        wire.NODE_ID: node, wire.NODE_SECRET: secret, wire.BATCH_TYPE: "records", wire.CURSOR: f"{epoch}:{lo}-{lo}",
    }  # fmt: skip
    async with hub.post(wire.PATH, data=b"\x81\xa5packs\x90", headers=headers) as response:
        return response.status
