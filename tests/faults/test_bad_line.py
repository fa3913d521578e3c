"""A gateway and a hub with a bad line between them: real TCP over packets that are lost, late, doubled and few."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.parts import part, until
from tests.e2e.site import Site, ended_alike, hub
from tests.faults.namespaces import ADDRESSES, joined
from tests.faults.tunnel import Line

LINES = {
    "lossy": Line(loss=0.1, delay_s=0.05, jitter_s=0.05),
    "satellite": Line(delay_s=0.35, jitter_s=0.02),
    "disordered": Line(doubled=0.3, jitter_s=0.1),
    "narrow": Line(rate=4000, delay_s=0.2),
}


@pytest.mark.P1
@pytest.mark.P2
async def test_on_a_bad_line_readings_go_on_arriving_and_a_dead_one_loses_none(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(joined())
        at_site, at_hub = line.within(0), line.within(1)
        address, port = await stack.enter_async_context(hub(tmp_path, *at_hub, host=ADDRESSES[1]))
        site = Site(tmp_path, f"http://{address}:{port}")
        site.socket = line.socket
        await stack.enter_async_context(part(tmp_path, "sim", "simulator.yaml", *at_site))
        async with site.gateway(*at_site) as running:
            await running.reaches_the_hub()
            for bad in LINES.values():
                await line.turn(bad)
                await running.reaches_the_hub()
        await line.turn(Line(loss=1))
        async with site.gateway(*at_site) as running:
            await running.polls(20)
            await until(lambda s: s["sync"]["backlog"] >= 20 and not s["sync"]["connected"], running.state)
        await line.turn(Line())
        await site.brings_the_rest(*at_site)
    async with ended_alike(tmp_path):
        pass
