"""A backlog of a week, and everything about the gateway changes: each reading still arrives once."""

from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.clock import SystemClock
from gateway.core.model import Event, Record
from tests.e2e.parts import ROOT, part, until
from tests.e2e.site import Site, ended_alike, hub
from tests.faults.impostors import Few
from tests.faults.proxy import WELL, Fault, Proxy
from tests.faults.releases import BEFORE_SYNC, unpacked
from tests.values import meter

WEEK_S = 7 * 86400
EVERY_S = 10
HALF_A_DAY = 43200 // EVERY_S


async def sends_a_little(site: Site, proxy: Proxy, release: Path = ROOT) -> None:
    """Start the gateway; it polls, and the hub takes some of the backlog, not all. Stop it."""
    few = Few(2)
    await proxy.turn(Fault(impostor=few))
    async with site.gateway(PYTHONPATH=str(release)) as running:
        await running.polls(5)
        await until(lambda _: not few.left, running.state)
        assert (await running.state())["sync"]["backlog"] > 1000, "the backlog was to outlive this"


async def a_week(path: Path) -> None:
    """A buffer with a week of two meters; five days of it are sealed, half a day each."""
    buffer, random = await Buffer.open(path), Random(1)
    begin = SystemClock().wall_ms() - (WEEK_S + 600) * 1000
    for first in range(0, WEEK_S // EVERY_S, HALF_A_DAY):
        for name in ("east", "west"):
            layout = meter(name)
            rows = [layout.rows.pack([random.randrange(1 << 32), random.randrange(1 << 16)]) for _ in range(HALF_A_DAY)]
            times = range(begin + first * EVERY_S * 1000, begin + (first + HALF_A_DAY) * EVERY_S * 1000, EVERY_S * 1000)
            buffer.put(layout, [Record(layout.id, ts, row) for ts, row in zip(times, rows, strict=True)])
        buffer.put_event(Event(begin + first * EVERY_S * 1000, "noted", "east", str(first)))
        await buffer.flushed()
        if first < 5 * 86400 // EVERY_S:
            await buffer.sealing.seal()
    assert buffer.head == 2 * WEEK_S // EVERY_S
    await buffer.close()


@pytest.mark.P1
@pytest.mark.P2
async def test_a_backlog_outlives_whatever_changes_about_the_gateway(tmp_path: Path) -> None:
    old = unpacked(BEFORE_SYNC, tmp_path / "old release")
    await a_week(tmp_path / "buffer.db")
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(("127.0.0.1", 9)))
        elsewhere = await stack.enter_async_context(Proxy(("127.0.0.1", 9)))
        site = Site(tmp_path, proxy.url)
        await stack.enter_async_context(part(tmp_path, "sim", "simulator.yaml"))
        async with site.gateway() as running:  # no hub yet
            await running.polls(5)
        async with hub(tmp_path, PYTHONPATH=str(old)) as proxy.hub:
            await sends_a_little(site, proxy, old)  # the release before, on this one's file
            await sends_a_little(site, proxy)
        proxy.hub = elsewhere.hub = await stack.enter_async_context(hub(tmp_path))

        site.config["site"]["name"] = "Another name"
        site.config["buffer"] = {"budget_mb": 50, "commit_interval_s": 0.5}
        site.config["buses"] = [site.bus(site.counter("renamed", role="load"))]
        await sends_a_little(site, proxy)

        (tmp_path / "profiles/counter.yaml").write_text(site.profile.replace("key: half,", "key: share, scale: 0.1,"))
        await sends_a_little(site, proxy)

        site.config["hub"]["url"] = elsewhere.url
        await sends_a_little(site, elsewhere)

        https = dict(site.config["hub"])
        broker = {"url": f"amqp://127.0.0.1:{site.ports['broker']}/plant"}  # nobody listens there
        site.config["hub"] |= {"transport": "auto", "amqp": broker}
        await sends_a_little(site, elsewhere)

        site.config["hub"] = https
        await sends_a_little(site, elsewhere, old)
        await elsewhere.turn(WELL)
        await site.brings_the_rest()
    async with ended_alike(tmp_path) as (_, store):
        assert {"east", "west", "counter", "renamed"} <= {layout.device for layout in await store.layouts("node")}
