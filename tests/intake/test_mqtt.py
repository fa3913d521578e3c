"""What devices send to a real broker."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiomqtt
import pytest

from drivers.intake import shapes
from drivers.intake.mqtt import Broker, MessageSink, MqttIntake
from drivers.intake.topics import Topic
from gateway.config import PushDevice
from gateway.core.errors import StorageError
from gateway.core.pushed import Parcel, Parsed
from tests.intake.broker import Mosquitto, mosquitto
from tests.intake.parts import NOW, HandClock, side

TOPICS = [Topic("homesync/{home}/nodes/{node}/telemetry/{metric}", "{node}"), Topic("new/{node}/state", "{node}")]
NODE = "homesync/h/nodes/node1/telemetry/"
PATIENCE_S = 10


class Taker:
    """Meets `MessageSink`: notes what it is given; with `hold`, it never gets it onto the disk."""

    def __init__(self, *, hold: bool = False) -> None:
        self.taken: list[dict[str, object]] = []
        self.given = asyncio.Event()
        self.hold = hold

    def knows(self, device: str) -> bool:
        return device == "node1"

    def welcome(self, device: str) -> bool:
        return device == "fresh"

    async def parse(self, device: str, body: bytes, content_type: str = "", metric: str = "") -> Parsed:
        return shapes.parse(body, content_type, metric=metric)

    async def take(self, parcels: Sequence[Parcel]) -> None:
        if parcels:
            self.given.set()
        if self.hold:
            await asyncio.Event().wait()
        self.taken += [dict(record.values) for parcel in parcels for record in parcel.parsed.records]


@asynccontextmanager
async def listening(
    broker: Mosquitto, sink: MessageSink, topics: Sequence[Topic] = TOPICS
) -> AsyncIterator[MqttIntake]:
    """Our side; cancelled with the block, as when the gateway is stopped."""
    where = Broker("127.0.0.1", broker.port, "gateway")
    intake = MqttIntake(where, topics, sink, HandClock(), Random(1), pause_max_s=0.1)
    task = asyncio.create_task(intake.run())
    try:
        await until(lambda: intake.connected or task.done())
        yield intake
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def publish(broker: Mosquitto, topic: str, payload: object, *, retain: bool = False) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish(topic, payload if isinstance(payload, str) else json.dumps(payload), 1, retain)


async def test_a_number_is_named_by_its_topic_and_an_object_by_itself(tmp_path: Path) -> None:
    sink = Taker()
    async with mosquitto(tmp_path) as broker, listening(broker, sink):
        await publish(broker, NODE + "power", 12.5)
        await publish(broker, NODE + "voltage", {"value": 230, "unit": "V"})
        await publish(broker, NODE + "all", {"ts": NOW, "values": {"a": 1, "b": 2}})
        await until(lambda: len(sink.taken) == 3)
    assert sink.taken == [{"power": 12.5}, {"voltage": 230}, {"a": 1, "b": 2}]


@pytest.mark.P1
async def test_a_message_comes_again_when_the_gateway_dies_between_receiving_and_committing(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        dying = Taker(hold=True)
        async with listening(broker, dying):
            await publish(broker, NODE + "power", 1)
            await dying.given.wait()
        sink = Taker()
        async with listening(broker, sink):
            await until(lambda: sink.taken)
    assert sink.taken == [{"power": 1}]


@pytest.mark.P2
async def test_what_was_taken_is_acknowledged_and_does_not_come_again(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        first, second = Taker(), Taker()
        async with listening(broker, first):
            for value in range(50):  # more than a broker gives without an acknowledgement
                await publish(broker, NODE + "power", value)
            await until(lambda: len(first.taken) == 50)
        async with listening(broker, second):
            await publish(broker, NODE + "power", 50)
            await until(lambda: second.taken)
    assert second.taken == [{"power": 50}]


@pytest.mark.P1
async def test_the_broker_keeps_what_comes_while_the_gateway_is_away(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        async with listening(broker, Taker()):
            pass
        for value in range(5):
            await publish(broker, NODE + "power", value)
        sink = Taker()
        async with listening(broker, sink):
            await until(lambda: len(sink.taken) == 5)


async def test_a_broker_that_was_restarted_is_connected_to_again(tmp_path: Path) -> None:
    sink = Taker()
    async with mosquitto(tmp_path) as broker, listening(broker, sink) as intake:
        await broker.stop()
        await until(lambda: not intake.connected)
        await broker.start()
        await until(lambda: intake.connected)
        await publish(broker, NODE + "power", 1)
        await until(lambda: sink.taken)


async def test_a_disk_that_takes_nothing_has_the_message_come_again(tmp_path: Path) -> None:
    class FullOnce(Taker):
        full = True

        async def take(self, parcels: Sequence[Parcel]) -> None:
            if self.full and parcels:
                self.full = False
                raise StorageError("the disk is full")
            await super().take(parcels)

    sink = FullOnce()
    async with mosquitto(tmp_path) as broker, listening(broker, sink):
        await publish(broker, NODE + "power", 1)
        await until(lambda: sink.taken)
    assert sink.taken == [{"power": 1}]


@pytest.mark.P11
async def test_messages_that_nobody_can_take_are_counted_and_do_not_stop_the_others(tmp_path: Path) -> None:
    sink = Taker()
    topics = [TOPICS[0], Topic("new/{node}/state", "{node}", accept_new=True)]
    async with mosquitto(tmp_path) as broker, listening(broker, sink, topics) as intake:
        await publish(broker, "homesync/h/nodes/stranger/telemetry/power", 1)
        await publish(broker, NODE + "all", '{"ts": "soon", "values": {"a": 1}}')
        await publish(broker, NODE + "all", "{")
        await publish(broker, NODE + "all", ",,,\n,,\n")
        await publish(broker, NODE + "all", {"ts": NOW, "values": {"a": "\ud800"}})
        await publish(broker, "new/other/state", {"power": 5})
        await publish(broker, "new/fresh/state", {"power": 6})
        await until(lambda: sink.taken)
        assert intake.refused == 6
    assert sink.taken == [{"power": 6}]


class Faulty(Taker):
    """Has a bug that one message meets, in `parse` or, with `late`, in `take`."""

    def __init__(self, *, late: bool) -> None:
        super().__init__()
        self.late = late

    async def parse(self, device: str, body: bytes, content_type: str = "", metric: str = "") -> Parsed:
        if not self.late and b"bad" in body:
            raise ZeroDivisionError
        return await super().parse(device, body, content_type, metric)

    async def take(self, parcels: Sequence[Parcel]) -> None:
        if any("bad" in record.values.values() for parcel in parcels for record in parcel.parsed.records):
            raise ZeroDivisionError
        await super().take(parcels)


@pytest.mark.parametrize("late", [False, True])
async def test_a_message_that_meets_a_bug_is_refused_and_does_not_come_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, late: bool
) -> None:
    async with mosquitto(tmp_path) as broker:
        async with listening(broker, Taker()):
            pass
        for value in ("bad", 1, "bad", 2):
            await publish(broker, NODE + "power", value)
        sink = Faulty(late=late)
        async with listening(broker, sink) as intake:
            await until(lambda: len(sink.taken) == 2)
            assert intake.refused == 2
        second = Taker()
        async with listening(broker, second):
            await publish(broker, NODE + "power", 3)
            await until(lambda: second.taken)
    assert sink.taken == [{"power": 1}, {"power": 2}]
    assert second.taken == [{"power": 3}]
    assert [record.message for record in caplog.records if record.exc_info] == ["intake failed"], "told once"


async def test_a_bug_beside_the_messages_does_not_end_the_intake(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Broker("", 1883, "gateway")  # which the library answers with an error of its own
    intake = MqttIntake(nowhere, TOPICS, Taker(), HandClock(), Random(1), pause_max_s=0.01)
    task = asyncio.create_task(intake.run())
    await until(lambda: intake.connected is False or task.done())
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [record.message for record in caplog.records if record.exc_info] == ["intake failed"]


async def test_what_the_broker_retains_is_taken_only_with_a_time_of_its_own(tmp_path: Path) -> None:
    sink = Taker()
    async with mosquitto(tmp_path) as broker:
        await publish(broker, NODE + "power", 1, retain=True)
        await publish(broker, NODE + "all", {"ts": NOW, "values": {"a": 1, "b": 2}}, retain=True)
        async with listening(broker, sink):
            await publish(broker, NODE + "power", 2)
            await until(lambda: {"power": 2} in sink.taken)
    assert len(sink.taken) == 2
    assert {"a": 1, "b": 2} in sink.taken


@pytest.mark.P2
async def test_a_message_that_was_committed_and_not_acknowledged_is_kept_once(tmp_path: Path) -> None:
    """With the real intake and its buffer: the gateway dies between the commit and the acknowledgement."""

    class Dying(Taker):
        async def take(self, parcels: Sequence[Parcel]) -> None:
            await gateway.intake.take(parcels)
            await super().take(parcels)

    async with mosquitto(tmp_path) as broker, side(tmp_path, [PushDevice(name="node1")]) as gateway:
        dying = Dying(hold=True)
        async with listening(broker, dying):
            await publish(broker, NODE + "all", {"ts": NOW, "values": {"a": 1, "b": 2}})
            await dying.given.wait()
        async with listening(broker, gateway.intake):
            await publish(broker, NODE + "power", {"ts": NOW, "value": 5})
            await until(lambda: gateway.buffer.head > 1)
        assert [named for _, named in await gateway.values()] == [{"a": 1, "b": 2}, {"power": 5}]
