"""Scanning: what is found on networks and lines, what is not taken for a device, and what is never asked."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from drivers.bus.channel import TcpChannel
from drivers.modbus.tcp import TcpLink
from drivers.scan.found import Found
from drivers.scan.hearing import Hearing
from drivers.scan.identify import SILENT_MAX, identify
from drivers.scan.nets import endpoints
from drivers.scan.probe import parse_units
from drivers.scan.serial import LineScan, Setting
from drivers.scan.tcp import AT_A_TIME, EVERY_UNIT_NOTE, NetworkScan
from drivers.simulator.farm import Farm, SimulatedBus, SimulatedDevice
from drivers.simulator.image import Image, load_image
from gateway.app import load_profile
from gateway.core.errors import ConfigError, DeviceError
from gateway.profiles import profile_names
from tests.drivers.answers import IMAGES, profile
from tests.drivers.ptyline import NOISE, pty_line, reply, rtu

SUNSPEC = {"sunspec": profile("sunspec")}
SHIPPED = {name: load_profile(name) for name in profile_names()}
READS = (3, 4, 43)


class Noted:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.devices: list[Found] = []
        self.hints: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def step(self, done: int, total: int) -> None:
        self.steps.append((done, total))

    def found(self, device: Found) -> None:
        self.devices.append(device)

    def hint(self, text: str) -> None:
        self.hints.append(text)


def image(name: str) -> Image:
    return load_image(IMAGES / f"{name}.json")


def simulated(name: str, unit_id: int | None = None) -> SimulatedDevice:
    recorded = image(name)
    return SimulatedDevice(name, recorded.unit_id if unit_id is None else unit_id, recorded)


async def scan_of(net: str, ports: str, **options: object) -> Noted:
    noted = Noted()
    usual: dict[str, object] = {"timeout_s": 0.05, "settle_s": 0} | options
    await NetworkScan(endpoints(net, ports), SUNSPEC, noted, **usual).run()  # type: ignore[arg-type]  # as given
    return noted


@asynccontextmanager
async def endpoint(pdu: Callable[[int, bytes], bytes | None]) -> AsyncIterator[tuple[int, list[tuple[int, bytes]]]]:
    """A Modbus TCP server that answers with `pdu` (unit id, request); its port, and what was asked."""
    asked: list[tuple[int, bytes]] = []
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        while frame := await reader.read(300):
            asked.append((frame[6], frame[7:]))
            if answer := pdu(frame[6], frame[7:]):
                writer.write(frame[:4] + (len(answer) + 1).to_bytes(2) + frame[6:7] + answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked
    await asyncio.gather(*(task for task in serving if task))


@pytest.mark.parametrize("net", ["8.8.8.8", "0.0.0.0/0", "192.0.0.0/8", "2001:db8::1", "example.com", "10.0.0.0/8"])
def test_only_private_networks_of_a_bearable_size_are_scanned(net: str) -> None:
    with pytest.raises(ConfigError):
        endpoints(net)


def test_each_port_of_each_host_is_tried() -> None:
    found = endpoints("10.0.0.0/30", "502,8899/udp")
    assert [(str(one), one.protocol) for one in found] == [
        ("10.0.0.1:502", "tcp"), ("10.0.0.2:502", "tcp"), ("10.0.0.1:8899", "udp"), ("10.0.0.2:8899", "udp"),
    ]  # fmt: skip
    assert str(endpoints("::1", "502")[0]) == "[::1]:502"
    assert parse_units("1, 5-7,6,255") == (1, 5, 6, 7, 255)
    for wrong in ("", "a", "7-5", "256", "1-", "-3"):
        with pytest.raises(ConfigError):
            parse_units(wrong)


async def test_a_network_scan_finds_each_unit_on_either_framing_and_nothing_else() -> None:
    buses = [
        SimulatedBus("tcp", (simulated("sunspec-fimer"), simulated("eastron-sdm630", 3))),
        SimulatedBus("rtu", (simulated("goodwe-dt-gw10k-ms"),), framing="rtu"),
    ]
    async with Farm(buses) as farm:
        tcp, line = farm.ports["tcp"], farm.ports["rtu"]
        noted = await scan_of("127.0.0.1", f"{tcp},{line}")
    assert {(found.place.tcp, found.place.framing, found.unit_id) for found in noted.devices} == {
        (f"127.0.0.1:{tcp}", "tcp", 1), (f"127.0.0.1:{tcp}", "tcp", 3), (f"127.0.0.1:{line}", "rtu", 127),
    }  # fmt: skip
    assert noted.steps[-1] == (2, 2)
    assert {found.unit_id: found.what for found in noted.devices} == {
        1: "FIMER -3Q58- no. 118747-3Q58-4221",
        3: "unknown: answers FC4 at 0",
        127: "unknown: answers exception 2 to FC4 at 0",
    }


async def test_a_unit_of_which_its_gateway_says_that_it_does_not_answer_is_no_device() -> None:
    def pdu(unit_id: int, request: bytes) -> bytes:
        return bytes([request[0] | 0x80, {2: 2, 3: 10}.get(unit_id, 11)])

    async with endpoint(pdu) as (port, _):
        noted = await scan_of("127.0.0.1", str(port))
    assert [found.unit_id for found in noted.devices] == [2]


async def test_a_scan_asks_nothing_but_reads() -> None:
    recorded = image("sunspec-fimer")

    def pdu(unit_id: int, request: bytes) -> bytes | None:
        return reply(recorded, request) if unit_id in (1, 2) else None

    async with endpoint(pdu) as (port, asked):
        await scan_of("127.0.0.1", str(port), timeout_s=0.02)
    assert {request[0] for _, request in asked} <= set(READS)
    assert len(asked) > 10


async def test_a_server_that_does_not_look_at_the_unit_id_is_one_device(libmodbus: Path) -> None:
    process = await asyncio.create_subprocess_exec(libmodbus, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    try:
        noted = await scan_of("127.0.0.1", str(port))
    finally:
        process.kill()
        await process.wait()
    assert [(found.unit_id, found.note) for found in noted.devices] == [(1, EVERY_UNIT_NOTE)]


async def test_where_absent_units_are_answered_with_an_exception_the_present_one_is_told_apart() -> None:
    recorded = image("sunspec-fimer")

    def pdu(unit_id: int, request: bytes) -> bytes:
        return reply(recorded, request) if unit_id == 126 else bytes([request[0] | 0x80, 4])

    async with endpoint(pdu) as (port, _):
        noted = await scan_of("127.0.0.1", str(port))
    assert [(found.unit_id, found.identity.make) for found in noted.devices] == [(126, "FIMER")]


async def test_an_open_port_where_no_unit_answers_is_a_hint() -> None:
    async with endpoint(lambda unit_id, request: None) as (port, _):
        noted = await scan_of("127.0.0.1", str(port), timeout_s=0.01)
    assert not noted.devices
    assert f"127.0.0.1:{port} takes connections, but no unit answers" in noted.hints[0]


async def test_no_more_endpoints_than_allowed_are_tried_at_a_time() -> None:
    open_now = most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await reader.read()
        open_now -= 1
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", 0)
    async with server:
        noted = await scan_of("127.0.0.0/25", str(server.sockets[0].getsockname()[1]), units=(1,), timeout_s=0.1)
    assert noted.steps[-1] == (126, 126)
    assert AT_A_TIME / 2 < most < 1.2 * AT_A_TIME  # the server sees the end of a connection a little later


class Dongle(asyncio.DatagramProtocol):
    """GoodWe's UDP port; the first datagram gets lost."""

    def __init__(self) -> None:
        self.asked = 0
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.transport is not None
        self.asked += data[0] == 247
        if data[0] == 247 and self.asked > 1:
            self.transport.sendto(b"\xaa\x55" + rtu(247, reply(image("goodwe-et-gw10k"), data[1:-2])), addr)


async def test_goodwe_is_found_on_its_udp_port_even_when_a_datagram_gets_lost() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Dongle, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    noted = await scan_of("127.0.0.1", f"{port}/udp", timeout_s=0.2)
    transport.close()
    assert [(found.place.udp, found.unit_id) for found in noted.devices] == [(f"127.0.0.1:{port}", 247)]


SETTINGS = tuple(Setting(baud, "none", 1) for baud in (57600, 115200, 38400))


async def line_scan(port: str, **options: object) -> Noted:
    noted = Noted()
    await LineScan(port, SUNSPEC, noted, **({"settings": SETTINGS, "timeout_s": 0.005} | options)).run()  # type: ignore[arg-type]
    return noted


async def test_a_line_scan_finds_rate_and_units_and_stops_there() -> None:
    async with pty_line({1: image("pzem-004t"), 33: image("sunspec-fimer")}) as line:
        noted = await line_scan(line.name)
    assert [(found.unit_id, found.place.baud, found.identity.make) for found in noted.devices] == [
        (1, 115200, ""), (33, 115200, "FIMER"),
    ]  # fmt: skip
    assert {unit_id for unit_id, _ in line.asked} == set(range(1, 248))
    assert {request[0] for _, request in line.asked} <= set(READS)
    assert "at 57600 baud" in noted.hints[0]
    assert "not at this rate" in noted.hints[0]
    assert len(noted.hints) == 1
    done, total = noted.steps[-1]
    assert done <= total


async def test_nothing_on_a_line_is_neither_a_device_nor_a_hint() -> None:
    async with pty_line({}, echo=True) as line:
        noted = await line_scan(line.name, settings=SETTINGS[1:2])
    assert (noted.devices, noted.hints) == ([], [])
    assert len(line.asked) == 52  # the usual units, with each probe


async def test_a_unit_that_answers_late_is_heard_and_asked_again_with_patience() -> None:
    async with pty_line({2: image("sunspec-fimer")}, late_s=0.05) as line:
        noted = await line_scan(line.name, settings=SETTINGS[1:2])
    assert [(found.unit_id, found.identity.make) for found in noted.devices] == [(2, "FIMER")]


async def test_who_talks_with_another_master_is_reported() -> None:
    async with pty_line({}) as line:
        loop = asyncio.get_running_loop()
        other = loop.call_later(0.1, line.say, rtu(77, b"\x03\x02\0\7"))
        noted = await line_scan(line.name, settings=SETTINGS[1:2])
        other.cancel()
    assert [(found.unit_id, found.note) for found in noted.devices] == [(77, "another master may be on the line")]


async def test_a_setting_that_the_port_does_not_take_is_passed_over() -> None:
    """A pseudo-terminal knows no parity."""
    settings = (SETTINGS[0], Setting(115200, "even", 1), SETTINGS[1])
    async with pty_line({1: image("sunspec-fimer")}) as line:
        noted = await line_scan(line.name, settings=settings, units=(1,))
    assert [found.place.parity for found in noted.devices] == ["none"]
    assert "it does not take this baud rate, parity" in noted.hints[1]


async def test_a_port_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="there is no such port"):
        await line_scan(str(tmp_path / "ttyUSB0"))


async def test_libmodbus_is_found_on_a_serial_line(libmodbus: Path) -> None:
    """Its servers lose the frame after one to another unit; that is why each unit is asked more than once."""
    ours, theirs = os.openpty()
    async with bridge(ours) as port:
        process = await asyncio.create_subprocess_exec(
            libmodbus, os.ttyname(theirs), "115200", "10", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        try:
            noted = await line_scan(port, settings=SETTINGS[1:2], units=(9, 10, 11), timeout_s=0.1)
        finally:
            process.kill()
            await process.wait()
    os.close(theirs)
    assert [found.unit_id for found in noted.devices] == [10]


@asynccontextmanager
async def bridge(far: int) -> AsyncIterator[str]:
    """A pseudo-terminal joined to the one whose master is `far`; yields its name."""
    near, port = os.openpty()
    import tty

    loop = asyncio.get_running_loop()
    tty.setraw(port)
    loop.add_reader(near, lambda: os.write(far, os.read(near, 1024)))
    loop.add_reader(far, lambda: os.write(near, os.read(far, 1024)))
    try:
        yield os.ttyname(port)
    finally:
        for descriptor in (near, far):
            loop.remove_reader(descriptor)
        for descriptor in (near, port, far):
            os.close(descriptor)


def test_frames_that_nobody_asked_for_are_told_from_noise_and_from_an_echo() -> None:
    question, other = rtu(5, b"\x04\0\0\0\1"), rtu(9, b"\x03\x02\0\7")
    hearing = Hearing()
    hearing.took(">", question)
    hearing.took("<", question)
    assert (hearing.units, hearing.is_noise) == (set(), False)
    hearing.took("<", NOISE)
    assert (hearing.units, hearing.is_noise) == (set(), True)
    hearing.took("<", other)
    assert (hearing.units, hearing.is_noise) == ({9}, False)


async def test_a_device_that_falls_silent_while_it_is_identified_is_left_alone() -> None:
    async with endpoint(lambda unit_id, request: None) as (port, asked):
        link = TcpLink(TcpChannel("127.0.0.1", port))
        assert str(await identify(link, 1, SHIPPED, timeout_s=0.02)) == ""
        await link.close()
    assert len(asked) == SILENT_MAX + 1  # at last for its own identification
