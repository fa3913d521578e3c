"""AMQP between a node and the hub, through a real RabbitMQ: what is confirmed arrives, and is answered."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway.core.errors import PushError, StorageError
from gateway.core.model import Command, Record
from sync import wire
from sync.edge.amqp import AmqpTransport
from sync.edge.transport import BatchRefused, BatchTooLarge
from tests.sync.brokered import batch, cursor, exchanging, hub_of, push, running, until
from tests.sync.rabbit import Rabbit, provisioned
from tests.values import METER, power

LAYOUTS = msgspec.msgpack.encode(wire.Layouts([METER.encoded]))


@pytest.mark.P2
async def test_confirmed_batches_are_stored_once_however_often_they_come(rabbit: Rabbit, tmp_path: Path) -> None:
    async with provisioned(rabbit) as vhost, exchanging(vhost, tmp_path) as (transport, ear, hub):
        await hub.know()
        records = [power(ms) for ms in range(100)]
        for piece in (records, records[20:40], records[90:], [power(100)]):
            answer = await push(transport, piece)
            assert answer.cursor == str(cursor(piece[0].ts, piece[-1].ts + 1))
        await until(lambda: _reaches(hub.times(), list(range(101))))
        assert not ear.answers  # nothing that a node must know


async def test_a_batch_of_unknown_layouts_waits_at_the_broker_until_the_node_has_sent_them(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, exchanging(vhost, tmp_path) as (transport, ear, hub):
        await push(transport, [power(1), power(2)])
        await until(lambda: len(ear.answers) > 1)  # it is asked for again while it is missing
        assert ear.answers[0].wanted == [METER.id.hex()]
        assert not ear.answers[0].error
        await transport.push("layouts", cursor(0, 1), LAYOUTS)
        await until(lambda: _reaches(hub.times(), [1, 2]))


async def test_a_record_that_can_never_be_kept_is_named_to_its_node_and_the_rest_is_taken(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, exchanging(vhost, tmp_path) as (transport, ear, hub):
        await hub.know()
        bad = Record(METER.id, -5, power(1).row)
        await transport.push("records", cursor(0, 2), batch(bad, power(1)))
        await until(lambda: bool(ear.answers))
        assert [rejection.seq for rejection in ear.answers[0].rejected] == [bad.seq]
        assert await hub.times() == [1]


async def test_to_a_batch_of_no_span_the_hub_answers_always(rabbit: Rabbit, tmp_path: Path) -> None:
    async with provisioned(rabbit) as vhost, exchanging(vhost, tmp_path) as (transport, ear, hub):
        await hub.know()
        await transport.push("records", cursor(7, 7), batch(power(7)))
        await until(lambda: bool(ear.answers))
        assert (ear.answers[0].cursor, ear.answers[0].accepted) == (str(cursor(7, 7)), 1)


async def test_a_refused_batch_is_told_to_its_node_and_does_not_stop_the_next(rabbit: Rabbit, tmp_path: Path) -> None:
    async with provisioned(rabbit) as vhost, exchanging(vhost, tmp_path) as (transport, ear, hub):
        await hub.know()
        await transport.push("records", cursor(0, 1), b"no batch")
        await push(transport, [power(7)])
        await until(lambda: _reaches(hub.times(), [7]))
        await until(lambda: bool(ear.answers))
        assert (ear.answers[0].cursor, bool(ear.answers[0].error)) == (str(cursor(0, 1)), True)


async def test_what_the_hub_cannot_store_just_now_is_stored_when_it_can(rabbit: Rabbit, tmp_path: Path) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        failures = ["the disk is full", "the disk is full"]

        async def heartbeat(node: str, at: wire.Cursor, body: bytes) -> wire.Answer:
            if failures:
                raise StorageError(failures.pop())
            return wire.Answer(str(at), accepted=1)

        async def broken(node: str, at: wire.Cursor, body: bytes) -> wire.Answer:
            raise RuntimeError("a bug")

        hub.door.handlers |= {"heartbeat": heartbeat, "ledger": broken}
        transport = AmqpTransport(vhost.node)
        heard: list[wire.Answer] = []

        async def hear(answer: wire.Answer) -> None:
            heard.append(answer)

        async with running(hub.consumer(vhost.hub).run(), transport.run(hear)):
            asking = asyncio.ensure_future(transport.push("ledger", cursor(0, 0), b""))
            await transport.push("heartbeat", cursor(0, 0), b"")
            await until(lambda: [answer.accepted for answer in heard] == [1])
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await transport.close()


async def test_a_ledger_is_answered_by_the_hub_itself_and_commands_come_with_heartbeats(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    command = Command("c-1", "RESTART", not_after=1 << 50)
    hour = wire.Hour("0123456789abcdef", 0, 1, 2)

    async def heartbeat(node: str, at: wire.Cursor, body: bytes) -> wire.Answer:
        return wire.Answer(str(at), commands=[command])

    async def ledger(node: str, at: wire.Cursor, body: bytes) -> wire.Answer:
        if not body:
            raise ValueError("no ledger")
        return wire.Answer(str(at), differing=[hour])

    async with provisioned(rabbit) as vhost, exchanging(vhost, tmp_path) as (transport, ear, hub):
        hub.door.handlers |= {"heartbeat": heartbeat, "ledger": ledger}
        answer = await transport.push("ledger", cursor(0, 9), b"hours")
        assert answer.differing == [hour]
        with pytest.raises(BatchRefused, match="no ledger"):
            await transport.push("ledger", cursor(0, 9), b"")
        assert not ear.answers
        assert not (await transport.push("heartbeat", cursor(9, 9), b"")).commands
        await until(lambda: [answer.commands for answer in ear.answers] == [[command]])


async def test_the_hub_tells_a_node_something_at_once_and_knows_when_the_broker_has_no_such_node(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    told = wire.Answer("", commands=[Command("c-1", "RESTART", not_after=1 << 50)])
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        consumer = hub.consumer(vhost.hub)
        transport = AmqpTransport(vhost.node)
        heard: list[wire.Answer] = []

        async def hear(answer: wire.Answer) -> None:
            heard.append(answer)

        async with running(consumer.run(), transport.run(hear)):
            await consumer.tell("node", told)
            await until(lambda: heard == [told])
            with pytest.raises(PushError, match="no queue"):
                await consumer.tell("another", told)
        later = wire.Answer("later")
        async with running(consumer.run(), transport.run(hear)):
            await consumer.tell("node", later)
            await until(lambda: len(heard) > 1)
            assert heard == [told, later]  # what was heard is not said again
        await transport.close()


async def test_the_hubs_time_comes_with_the_answer_to_a_sign_of_life(rabbit: Rabbit, tmp_path: Path) -> None:
    class Sink:
        said: tuple[int, int] | None = None

        def monotonic_s(self) -> float:
            return asyncio.get_running_loop().time()

        def hub_says(self, wall_ms: int, uncertainty_ms: int) -> None:
            self.said = wall_ms, uncertainty_ms

    sink = Sink()
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        transport = AmqpTransport(vhost.node, sink)

        async def hear(answer: wire.Answer) -> None:
            pass

        async with running(hub.consumer(vhost.hub).run(), transport.run(hear)):
            await transport.push("records", cursor(4, 4), msgspec.msgpack.encode(wire.Records([])))
            await until(lambda: sink.said is not None)
        await transport.close()
    assert sink.said is not None
    assert sink.said[0] > 1_700_000_000_000


async def test_what_a_node_cannot_keep_stays_in_its_queue(rabbit: Rabbit, tmp_path: Path) -> None:
    """A command is kept by the node before the broker may forget it."""
    told = wire.Answer("", commands=[Command("c-1", "RESTART", not_after=1 << 50)])
    tries: list[wire.Answer] = []

    async def hear(answer: wire.Answer) -> None:
        tries.append(answer)
        if len(tries) == 1:
            raise StorageError("the disk is full")

    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        consumer, transport = hub.consumer(vhost.hub), AmqpTransport(vhost.node)
        async with running(consumer.run(), transport.run(hear)):
            await consumer.tell("node", told)
            await until(lambda: tries == [told, told])
        await transport.close()


async def test_a_batch_larger_than_the_door_takes_is_not_sent(rabbit: Rabbit) -> None:
    async with provisioned(rabbit) as vhost:
        transport = AmqpTransport(vhost.node)
        with pytest.raises(BatchTooLarge):
            await transport.push("records", cursor(0, 1), bytes(wire.BODY_MAX + 1))
        await transport.close()


async def _reaches(times: object, expected: list[int]) -> bool:
    return await times == expected  # type: ignore[misc]  # a coroutine
