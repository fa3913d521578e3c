"""Commands through a real broker: at once, once, and also where the broker did not take them (P8)."""

from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.clock import SystemClock
from sync import wire
from sync.edge.amqp import AmqpTransport
from sync.hub.fleet.fleet import Fleet
from tests.sync.brokered import hub_of, running
from tests.sync.controlling import Site, come_to, command, controlled_by
from tests.sync.rabbit import Rabbit, provisioned


@pytest.mark.P8
async def test_a_command_comes_by_the_broker_at_once_and_is_executed_once_however_often(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        consumer, fleet, here = hub.consumer(vhost.hub), Fleet(hub.store.control, SystemClock()), Site()
        hub.door.handlers["heartbeat"] = fleet.heartbeat
        hub.door.listeners.append(fleet.happened)
        await fleet.order("node", command("early"))  # there is no way to tell it yet: it comes with a heartbeat
        fleet.tell = consumer.tell
        async with running(consumer.run(), fleet.run()):
            async with controlled_by(AmqpTransport(vhost.node), buffer, here, None, every_s=3600):
                await come_to(hub.store, early="done")
                await fleet.order("node", command("a"))
                for _ in range(3):
                    await consumer.tell("node", wire.Answer("", commands=[command("a"), command("early")]))
                await come_to(hub.store, a="done")
            await consumer.tell("node", wire.Answer("", commands=[command("a")]))
            await fleet.order("node", command("away"))  # while the node is not connected
            async with controlled_by(AmqpTransport(vhost.node), buffer, here, None, every_s=3600):
                await come_to(hub.store, away="done")
        assert here.done == ["early", "a", "away"]
    await buffer.close()
