"""Nodes that are enrolled, revoked and go over to another secret, at a real broker."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.core.clock import SystemClock
from gateway.core.errors import HoldfastError
from gateway.hubfile import HubFile
from sync import enrol
from sync.broker.connection import Broker, connected
from sync.broker.problems import ERRORS
from sync.edge.amqp import AmqpTransport
from sync.edge.backoff import Backoff
from sync.edge.rotation import Rotation
from sync.hub.app import DOOR, REGISTRY
from sync.hub.config import AmqpConfig
from sync.hub.enrol.brokerdesk import BrokerDesk
from sync.hub.intake.amqp import Consumer
from sync.hub.store.sqlite import SqliteStore
from tests.hub.enrolling import Hub, asked, claim, come, hub_of
from tests.sync.brokered import Ear, cursor, push, running, until
from tests.sync.parts import Eager
from tests.sync.rabbit import ADMIN, HUB, Rabbit, Vhost, provisioned
from tests.sync.test_amqp_rights import LAYOUTS
from tests.values import METER, power

ONE, TWO = "the first secret, which is long", "the second secret, which is long"


class Fleet:
    """A hub with its broker, and one enrolled node with a name that no other test has."""

    def __init__(self, hub: Hub, vhost: Vhost, store: SqliteStore) -> None:
        self.hub, self.vhost, self.store = hub, vhost, store
        self.node = f"mill-{uuid4().hex[:8]}"

    def way(self, secret: str) -> Broker:
        return self.vhost.way(self.node, secret)

    async def gets_in(self, secret: str) -> bool:
        try:
            async with connected(self.way(secret)):
                return True
        except ERRORS:
            return False

    async def times(self) -> list[int]:
        if await self.store.row_size(self.node, METER.id) is None:
            return []
        return [record.ts for record in await self.store.records(self.node, METER.id)]

    async def has(self, *times: int) -> bool:
        return await self.times() == list(times)


@asynccontextmanager
async def fleet(rabbit: Rabbit, folder: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        vhost = await stack.enter_async_context(provisioned(rabbit))
        store = await SqliteStore.open(folder / "hub.db")
        stack.push_async_callback(store.close)
        config = AmqpConfig(
            url=vhost.hub.url, password=HUB[1], management_url=rabbit.management, management_password=ADMIN[1]
        )
        hub = await stack.enter_async_context(hub_of(store, BrokerDesk(config, vhost.name, folder)))
        app = hub.app
        assert app is not None
        consumer = Consumer(vhost.hub, app[DOOR], app[REGISTRY], SystemClock())
        await stack.enter_async_context(running(consumer.run()))
        found = Fleet(hub, vhost, store)
        status, answer = await come(hub, await claim(hub, node=found.node), ONE)
        assert (status, answer["amqp"]["url"]) == (200, vhost.hub.url)
        try:
            yield found
        finally:
            async with vhost.management() as management:
                await management.ask("DELETE", ["users", found.node], may_lack=True)


@pytest.mark.P11
async def test_an_enrolled_node_sends_by_the_broker_and_a_revoked_one_is_out_at_once(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with fleet(rabbit, tmp_path) as site:
        transport, heard = AmqpTransport(site.way(ONE)), Ear()
        async with running(transport.run(heard.hear)):
            await transport.push("layouts", cursor(0, 1), LAYOUTS)
            await push(transport, [power(1)])
            await until(lambda: site.has(1))
            async with connected(site.way(ONE)) as held:
                assert (await asked(site.hub, "POST", f"/api/v1/nodes/{site.node}/revoke"))[0] == 200
                await until(lambda: held.transport is None or held.transport.connection.is_closed)
            assert not await site.gets_in(ONE)
            assert (await asked(site.hub, "POST", f"/api/v1/nodes/{site.node}/restore"))[0] == 200
            assert await site.gets_in(ONE)
        await transport.close()


@pytest.mark.P2
async def test_a_node_changes_its_secret_by_the_broker_alone(rabbit: Rabbit, tmp_path: Path) -> None:
    async with fleet(rabbit, tmp_path) as site:
        keys, transport, heard = HubFile(tmp_path / "site.yaml"), AmqpTransport(site.way(ONE)), Ear()
        rotation = Rotation(ONE, keys, transport, transport.use_secret, Backoff(Eager()))
        async with running(transport.run(heard.hear), rotation.run()):
            await transport.push("layouts", cursor(0, 1), LAYOUTS)
            await push(transport, [power(1)])
            assert await rotation.rotate() == "the gateway has another secret"
            await push(transport, [power(2)])
            await until(lambda: site.has(1, 2))
        await transport.close()
        assert not await site.gets_in(ONE)
        assert await site.gets_in(keys.read()["secret"])


@pytest.mark.P2
async def test_a_node_that_was_killed_when_the_broker_knew_its_new_secret_only_goes_on(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with fleet(rabbit, tmp_path) as site:
        keys = HubFile(tmp_path / "site.yaml")
        new = enrol.new_secret(keys.propose())
        async with site.vhost.management() as management:
            hashed = {"password_hash": new.broker_hash, "tags": ""}
            await management.put(["users", site.node], hashed)
        transport, heard = AmqpTransport(site.way(ONE)), Ear()
        rotation = Rotation(ONE, keys, transport, transport.use_secret, Backoff(Eager()))
        async with running(transport.run(heard.hear), rotation.run()):
            await until(lambda: keys.proposed() is None)
            await transport.push("layouts", cursor(0, 1), LAYOUTS)
            await push(transport, [power(1)])
            await until(lambda: site.has(1))
        await transport.close()


async def test_who_is_replaced_is_out_at_the_broker(rabbit: Rabbit, tmp_path: Path) -> None:
    async with fleet(rabbit, tmp_path) as site, connected(site.way(ONE)) as held:
        assert (await come(site.hub, await claim(site.hub, replaces=site.node), TWO))[0] == 200
        await until(lambda: held.transport is None or held.transport.connection.is_closed)
        assert not await site.gets_in(ONE)
        assert await site.gets_in(TWO)


@pytest.mark.P11
@pytest.mark.parametrize("name", ["guest", "hub"])
async def test_no_code_makes_a_node_of_another_user_of_the_broker(rabbit: Rabbit, tmp_path: Path, name: str) -> None:
    async with fleet(rabbit, tmp_path) as site:
        status, _ = await come(site.hub, await claim(site.hub, node=name), TWO)
        assert status == 503
        async with connected(site.vhost.hub):
            pass
        async with site.vhost.management() as management:
            await management.ask("GET", ["whoami"])


@pytest.mark.P11
async def test_a_user_of_another_virtual_host_does_not_become_a_node(rabbit: Rabbit, tmp_path: Path) -> None:
    async with (
        fleet(rabbit, tmp_path) as site,
        provisioned(rabbit, "foreign") as other,
        other.management() as management,
    ):
        desk = BrokerDesk(
            AmqpConfig(url=site.vhost.hub.url, password=HUB[1], management_url=rabbit.management,
                       management_password=ADMIN[1]), site.vhost.name, tmp_path,
        )  # fmt: skip
        with pytest.raises(HoldfastError, match="for other things"):
            await desk.admit("foreign", enrol.new_secret(TWO).broker_hash, is_new=True)
        await management.ask("GET", ["users", "foreign"])
