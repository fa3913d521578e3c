"""Several hubs that take from one broker into one PostgreSQL."""

from pathlib import Path
from random import Random
from typing import cast

import pytest

from bench.postgres import Server
from sync.edge.amqp import AmqpTransport
from sync.hub.store.sqlite import SqliteStore
from tests.hub.stores import nodes, opened
from tests.sync.brokered import BrokeredHub, push, running, until
from tests.sync.rabbit import NODE_SECRET, Rabbit, provisioned
from tests.values import power


@pytest.mark.P2
async def test_two_hubs_on_one_queue_and_one_database_lose_and_double_nothing(
    rabbit: Rabbit, postgres_server: Server, tmp_path: Path
) -> None:
    where, random, names = await postgres_server.database("two_hubs"), Random(5), ("a", "b")
    async with (
        provisioned(rabbit, *names) as vhost,
        opened(where, tmp_path) as near,
        opened(where, tmp_path) as far,
    ):
        one, other = (BrokeredHub(cast(SqliteStore, store), names) for store in (near, far))
        for name in names:
            await one.know(name)
        ways = [AmqpTransport(vhost.way(name, NODE_SECRET)) for name in names]
        pieces = [(way, first) for way in ways for first in range(0, 2000, 50)] * 2
        random.shuffle(pieces)
        for way, first in pieces:  # each overlaps the next, and comes twice
            await push(way, [power(ms) for ms in range(first, first + 70)])
        async with running(one.consumer(vhost.hub).run()):
            async with running(other.consumer(vhost.hub).run()):
                await until(lambda: _has(other, "a", 200))
            async with running(other.consumer(vhost.hub).run()):
                for name in names:
                    await until(lambda name=name: _has(one, name, 2020))  # type: ignore[misc]
        for name in names:
            assert await one.times(name) == list(range(2020))
        assert {state.records for state in await nodes(near, 0)} == {2020}
        for way in ways:
            await way.close()


async def _has(hub: BrokeredHub, node: str, count: int) -> bool:
    return len(await hub.times(node)) >= count
