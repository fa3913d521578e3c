"""The configuration's report comes when the hub asks for it, by either transport, and never holds up a heartbeat."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from gateway.core.clock import SystemClock
from gateway.core.configreport import ConfigReport, ConfigValue
from sync import wire
from sync.edge.amqp import AmqpTransport
from sync.edge.heartbeat import Heartbeats
from sync.edge.https import HttpsTransport
from sync.edge.link import Link
from sync.edge.reporting import Reporting
from sync.edge.transport import Transport
from sync.hub.fleet.configstore import ConfigStore
from sync.hub.fleet.configurations import Configurations
from sync.hub.fleet.fleet import Fleet
from sync.hub.intake.door import Door
from sync.hub.store.contract import Store
from tests.sync.brokered import hub_of, running
from tests.sync.controlling import NOW
from tests.sync.parts import SECRET, Eager, Hub, site, until
from tests.sync.rabbit import Rabbit, provisioned

EPOCH = "0123456789abcdef"
REPORT = wire.Configuration("a" * 64, ConfigReport("site: {}\n", (ConfigValue("site.name", "Mill", "site"),)))


async def facts() -> wire.Heartbeat:
    return wire.Heartbeat("1", NOW, 1.0, "kernel", effective=REPORT.digest)


@asynccontextmanager
async def gateway(transport: Transport, every_s: float = 3600) -> AsyncIterator[None]:
    """One that heartbeats and reports, as long as the block; neither ends with an error."""
    link = Link(lambda: EPOCH, transport, SystemClock(), Eager())
    reporting = Reporting(link, REPORT)
    link.hear(reporting.heard)
    jobs = (link.run(), Heartbeats(link, facts, every_s=every_s).run(), reporting.run())
    tasks = [asyncio.ensure_future(job) for job in jobs]
    yield
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError), result
    await transport.close()


def takes(door: Door, fleet: Fleet, store: Store) -> ConfigStore:
    """Have this hub ask for configurations; where it keeps them."""
    kept = ConfigStore(store.sql)
    configurations = Configurations(kept, store.control, fleet, SystemClock())
    fleet.lacks, door.handlers["config"] = configurations.lacks, configurations.take
    return kept


def https(hub: Hub) -> Transport:
    return HttpsTransport(str(hub.server.make_url("")), "node", SECRET)


async def told(kept: ConfigStore) -> bool:
    return await kept.has("node", REPORT.digest)


async def test_a_report_comes_when_it_is_asked_for_and_again_where_it_was_lost(tmp_path: Path) -> None:
    async with site(tmp_path) as (_, hub):
        kept = takes(hub.door, hub.fleet, hub.store)
        hub.spoil = ["", lambda: web.Response(status=503, headers={"Retry-After": "0"})]
        async with gateway(https(hub)):
            await until(lambda: told(kept))
            await until(lambda: hub.batches.count("heartbeat 1-1") == 1)
        async with gateway(https(hub), every_s=0):
            await until(lambda: hub.batches.count("heartbeat 3-3") == 1)
        assert [batch for batch in hub.batches if batch.startswith("config")] == ["config 2-2"]


async def test_a_hub_of_an_older_release_is_never_told_and_one_that_refuses_is_not_told_again(tmp_path: Path) -> None:
    async with site(tmp_path) as (_, hub):
        async with gateway(https(hub), every_s=0):
            await until(lambda: hub.batches.count("heartbeat 3-3") == 1)
        assert not [batch for batch in hub.batches if batch.startswith("config")]
        takes(hub.door, hub.fleet, hub.store)
        del hub.door.handlers["config"]
        hub.batches.clear()
        async with gateway(https(hub), every_s=0):
            await until(lambda: hub.batches.count("heartbeat 9-9") == 1)
        assert [batch for batch in hub.batches if batch.startswith("config")] == ["config 1-1"]


async def test_a_report_comes_by_the_broker(rabbit: Rabbit, tmp_path: Path) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        consumer, fleet = hub.consumer(vhost.hub), Fleet(hub.store.control, SystemClock())
        hub.door.handlers["heartbeat"] = fleet.heartbeat
        kept = takes(hub.door, fleet, hub.store)
        async with running(consumer.run()), gateway(AmqpTransport(vhost.node)):
            await until(lambda: told(kept))
