"""The farm on real sockets, asked by pymodbus's own client."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerType

from drivers.simulator.counter import Counter, group_values
from drivers.simulator.farm import FRAMERS, Farm, Framing, SimulatedBus, SimulatedDevice
from drivers.simulator.image import Image, load_image
from drivers.simulator.site import build, parse_farm, serve
from gateway.core.errors import ConfigError
from tests.drivers.answers import IMAGES, ROOT, profile

ROOF = Image(1, {"holding": {10: 7, 11: 8}, "input": {10: 9}, "coil": {0: 1, 1: 0, 2: 1}})


class StoppedClock:
    """Noon of a summer's day, for ever."""

    def wall_ms(self) -> int:
        return 1_781_870_400_000

    def monotonic_s(self) -> float:
        return 0.0


def bus(*devices: tuple[str, int, Image | Counter], framing: Framing = "tcp") -> SimulatedBus:
    return SimulatedBus("bus", tuple(SimulatedDevice(*device) for device in devices), framing=framing)


@asynccontextmanager
async def connected(port: int, framing: Framing = "tcp", timeout_s: float = 5) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient(
        "127.0.0.1", port=port, framer=FRAMERS[framing], timeout=timeout_s, retries=0, reconnect_delay=0
    )
    await client.connect()
    try:
        yield client
    finally:
        client.close()


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_a_device_answers_reads_of_each_table(framing: Framing) -> None:
    async with Farm([bus(("roof", 1, ROOF), framing=framing)]) as farm, connected(farm.ports["bus"], framing) as client:
        assert (await client.read_holding_registers(10, count=2, device_id=1)).registers == [7, 8]
        assert (await client.read_input_registers(10, count=1, device_id=1)).registers == [9]
        assert (await client.read_coils(0, count=3, device_id=1)).bits[:3] == [True, False, True]


async def test_what_is_not_there_is_refused_with_exception_2_and_a_write_with_1() -> None:
    async with Farm([bus(("roof", 1, ROOF))]) as farm, connected(farm.ports["bus"]) as client:
        assert (await client.read_holding_registers(10, count=3, device_id=1)).exception_code == 2
        assert (await client.read_discrete_inputs(0, count=1, device_id=1)).exception_code == 2
        assert (await client.write_register(10, 1, device_id=1)).exception_code == 1
        assert (await client.write_coil(0, True, device_id=1)).exception_code == 1
        assert farm.answered == {}


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_a_unit_that_is_not_on_the_bus_stays_silent(framing: Framing) -> None:
    farm = Farm([bus(("roof", 1, ROOF), framing=framing)])
    async with farm, connected(farm.ports["bus"], framing, timeout_s=0.05) as client:
        with pytest.raises(ModbusIOException):
            await client.read_holding_registers(10, count=1, device_id=2)


async def test_several_units_share_a_bus() -> None:
    other = Image(2, {"holding": {10: 70}})
    shared = bus(("roof", 1, ROOF), ("shed", 2, other), framing="rtu")
    async with Farm([shared]) as farm, connected(farm.ports["bus"], "rtu") as client:
        answers = [await client.read_holding_registers(10, count=1, device_id=unit_id) for unit_id in (1, 2, 1)]
        assert [answer.registers for answer in answers] == [[7], [70], [7]]
        assert farm.answered == {"roof": 2, "shed": 1}


async def test_each_answered_read_is_in_the_log_before_its_answer_arrives(tmp_path: Path) -> None:
    log = tmp_path / "served.jsonl"
    farm = Farm([bus(("roof", 1, ROOF))], log=log, clock=StoppedClock())
    async with farm, connected(farm.ports["bus"]) as client:
        await client.read_holding_registers(10, count=2, device_id=1)
        await client.read_holding_registers(500, count=2, device_id=1)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert lines == [{"t": 1_781_870_400_000, "device": "roof", "table": "holding", "address": 10, "words": [7, 8]}]


async def test_the_counter_counts_what_was_answered() -> None:
    async with Farm([bus(("counter", 1, Counter()))]) as farm, connected(farm.ports["bus"]) as client:
        for answers in (1, 2, 3):
            registers = (await client.read_holding_registers(0, count=5, device_id=1)).registers
            assert client.convert_from_registers(registers[:2], client.DATATYPE.UINT32) == answers
            assert client.convert_from_registers(registers[2:4], client.DATATYPE.FLOAT32) == answers / 2
            assert client.convert_from_registers(registers[4:], client.DATATYPE.INT16) == group_values(answers)[2]
        assert farm.answered == {"counter": 3}


async def test_a_farm_that_stopped_gives_its_port_and_its_connections_up() -> None:
    roof = bus(("roof", 1, ROOF))
    farm = Farm([roof])
    await farm.start()
    async with connected(farm.ports["bus"], timeout_s=0.05) as client:
        await farm.stop()
        with pytest.raises(ModbusIOException):
            await client.read_holding_registers(10, count=1, device_id=1)
    async with Farm([replace(roof, port=farm.ports["bus"])]) as again:
        assert again.ports == farm.ports


async def test_a_taken_port_is_said_by_name() -> None:
    async with Farm([bus(("roof", 1, ROOF))]) as farm:
        port = farm.ports["bus"]
        twice = Farm([SimulatedBus("free", ()), SimulatedBus("taken", (), port)])
        with pytest.raises(ConfigError, match=rf"bus taken: cannot listen on 127\.0\.0\.1:{port}"):
            await twice.start()


async def test_a_log_that_cannot_be_written_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        await Farm([], log=tmp_path / "nowhere" / "served.jsonl").start()


async def test_the_demonstration_site_answers_for_every_device() -> None:
    path = ROOT / "config" / "demo" / "simulator.yaml"
    buses = build(parse_farm(path.read_text(), path.name), profile, path.parent)
    assert [bus.port for bus in buses] == [15521, 15522, 15523, 15524]
    async with Farm([SimulatedBus(bus.name, bus.devices, 0, bus.framing) for bus in buses]) as farm:
        async with connected(farm.ports["inverter"]) as client:
            assert not (await client.read_holding_registers(35100, count=122, device_id=247)).isError()
        async with connected(farm.ports["meter"]) as client:
            assert not (await client.read_input_registers(0, count=80, device_id=1)).isError()
        async with connected(farm.ports["roof"]) as client:
            assert (await client.read_holding_registers(40000, count=3, device_id=1)).registers == [0x5375, 0x6E53, 1]
        async with connected(farm.ports["rs485"], "rtu") as client:
            assert not (await client.read_input_registers(0, count=10, device_id=1)).isError()
            assert len((await client.read_coils(0, count=8, device_id=2)).bits) == 8


async def test_serving_runs_until_it_is_cancelled(tmp_path: Path) -> None:
    text = f"""
        log: served.jsonl
        buses:
          - name: one
            devices:
              - {{name: recorded, image: {IMAGES / "pzem-004t.json"}, unit_id: 3}}
              - {{name: counting, counter: true}}
        """
    told: asyncio.Queue[str] = asyncio.Queue()
    ready: Callable[[str], None] = told.put_nowait
    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve(parse_farm(text, "sim.yaml"), ready, profiles=profile, folder=tmp_path))
        port = int((await told.get()).rpartition(":")[2])
        async with connected(port) as client:
            assert (await client.read_input_registers(0, count=1, device_id=3)).registers == [2257]
            assert (await client.read_holding_registers(0, count=5, device_id=1)).registers[1] == 1
        task.cancel()
    assert task.cancelled()
    assert len((tmp_path / "served.jsonl").read_text().splitlines()) == 2


def entry(*devices: str) -> str:
    """A configuration with one bus."""
    return "buses:\n  - name: one\n    devices:\n" + "".join(f"      - {{{device}}}\n" for device in devices)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (entry("name: a"), "4: buses[0].devices[0]: expected exactly one of profile, image and counter"),
        (entry("name: a, profile: x, counter: true"), "4: buses[0].devices[0]: expected exactly one of"),
        (
            entry("name: a, counter: true", "name: a, counter: true"),
            "5: name: a is here twice; the first is at sim.yaml:4",
        ),
        (entry("name: a, counter: true, unit: 3"), "4: buses[0].devices[0].unit: no such key"),
        (entry("name: a, counter: true, unit_id: 0"), "4: buses[0].devices[0].unit_id: expected a whole number >= 1"),
        ("buses: []\n", "1: buses: "),
    ],
)
def test_a_mistake_in_the_configuration_is_named_with_file_line_and_key(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_farm(text, "sim.yaml")
    assert str(caught.value).startswith(f"sim.yaml:{complaint}")


def test_two_devices_of_a_bus_cannot_have_one_unit_id(tmp_path: Path) -> None:
    config = parse_farm(entry("name: a, counter: true", "name: b, counter: true"), "sim.yaml")
    with pytest.raises(ConfigError, match="bus one: a and b both have unit id 1"):
        build(config, profile, tmp_path)


def test_a_recorded_device_keeps_the_unit_id_that_it_had(tmp_path: Path) -> None:
    config = parse_farm(entry(f"name: a, image: {IMAGES / 'goodwe-et-gw10k.json'}"), "sim.yaml")
    [one] = build(config, profile, tmp_path)
    assert one.devices[0].unit_id == 247
    assert one.devices[0].source == load_image(IMAGES / "goodwe-et-gw10k.json")
    assert FRAMERS[one.framing] is FramerType.SOCKET
