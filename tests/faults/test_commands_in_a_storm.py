"""Commands of the hub that cross a storm of faults: each is carried out once, and the hub learns how it ended."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.core.span import Span
from tests.e2e.parts import signed_in, until
from tests.e2e.site import Site, ended_alike, hub
from tests.faults.equality import MANY
from tests.faults.impostors import Forgetful
from tests.faults.proxy import WELL, Fault, Proxy
from tests.faults.storm import FAULTS, storm

KINDS = ("RESTART", "RESEND") * 2
# What falls silent costs a minute of patience, and is left to the storms with readings.
LOUD = [name for name, fault in FAULTS.items() if fault.end != "silence" and not fault.away]


@pytest.mark.P8
async def test_each_command_is_carried_out_once_in_a_storm_however_often_it_is_ordered(tmp_path: Path) -> None:
    random = Random(5)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(("127.0.0.1", 9)))
        proxy.hub = await stack.enter_async_context(hub(tmp_path))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await signed_in(http, f"http://127.0.0.1:{proxy.hub[1]}", tmp_path)
        url = f"http://127.0.0.1:{proxy.hub[1]}/api/v1/nodes/node/commands"
        site = Site(tmp_path, proxy.url)
        site.config["buses"] = []

        async def order(number: int) -> None:
            body = "all" if KINDS[number] == "RESEND" else ""
            order = {"id": f"order-{number}", "kind": KINDS[number], "body": body}
            async with http.post(url, json=order) as answer:
                assert answer.status in (200, 201), await answer.text()

        async def ordered() -> dict[str, Any]:
            async with http.get(url) as answer:
                return {one["command"]["id"]: one["state"] for one in await answer.json()}

        async with site.gateway() as running:
            await until(lambda s: s["sync"]["connected"], running.state)
            weather = asyncio.ensure_future(storm(proxy, random, random.sample(LOUD, len(LOUD)), 0.3, 1))
            for number in range(len(KINDS) - 2):
                await order(number)
                await asyncio.sleep(random.uniform(0, 1))
                await order(number)
            await weather
            forgetful = Forgetful()
            await proxy.turn(Fault(impostor=forgetful))
            await order(len(KINDS) - 2)
            await order(len(KINDS) - 1)
            await until(lambda states: set(states.values()) == {"done"} and forgetful.times > 5, ordered)
            await proxy.turn(WELL)
        await site.brings_the_rest()
    async with ended_alike(tmp_path) as (buffer, _):
        events = await buffer.read_events(Span(0, MANY), MANY)
        results = [msgspec.json.decode(event.detail) for event in events if event.kind == "command_result"]
        assert Counter(result["id"] for result in results) == {f"order-{number}": 1 for number in range(len(KINDS))}
        starts = sum(event.kind == "gateway_started" for event in events)
        assert starts == 2 + KINDS.count("RESTART"), "ours, and one for each command"
