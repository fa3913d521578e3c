"""Ten minutes of random faults between a gateway and a hub as they are shipped, both of them killed now and then."""

import os
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from tests.e2e.parts import part
from tests.e2e.site import Site, ended_alike, hub
from tests.faults.proxy import WELL, Proxy
from tests.faults.storm import FAULTS, storm

# Lies stay out: the ledger compares an hour when it is over.
PIECES = 6  # after each of them, gateway or hub is killed, or both
EACH_S, MOST_S = 5, 10


@pytest.mark.P1
@pytest.mark.P2
@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.environ.get("HOLDFAST_LONG") != "1", reason="takes ten minutes; HOLDFAST_LONG=1 runs it")
async def test_ten_minutes_of_faults_and_kills_leave_both_ends_the_same(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4))
    (tmp_path / "seed").write_text(str(seed))
    random = Random(seed)
    names = [name for _ in range(3) for name in random.sample([*FAULTS], len(FAULTS))]
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(("127.0.0.1", 9)))
        site = Site(tmp_path, proxy.url)
        await stack.enter_async_context(part(tmp_path, "sim", "simulator.yaml"))
        for piece in range(PIECES):
            killed = random.choice(["gateway", "hub", "both"])
            async with (
                hub(tmp_path, killed=killed != "gateway") as proxy.hub,
                site.gateway(killed=killed != "hub") as running,
            ):
                await running.polls(1)
                await storm(proxy, random, names[piece::PIECES], EACH_S, MOST_S)
        async with hub(tmp_path) as proxy.hub:
            await proxy.turn(WELL)
            await site.brings_the_rest()
    async with ended_alike(tmp_path) as (buffer, _):
        assert buffer.head > 1000
