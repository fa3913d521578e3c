"""Every kind of bus, built from its configuration and polled over real sockets, down to the buffer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from drivers.bus.capture import read_capture
from drivers.locks.simulator import SimulatedBoard, SimulatedLine
from drivers.modbus.frames import crc
from drivers.simulator.farm import Farm, SimulatedBus, SimulatedDevice
from drivers.simulator.image import Image, load_image
from gateway.app import load_profile
from gateway.buffer.buffer import Buffer
from gateway.buses import NOT_MODBUS, Bus, Surroundings, build_bus
from gateway.config import BusConfig
from gateway.core.clock import SystemClock
from gateway.core.status import DeviceState, SyncState
from gateway.identity import Identities
from gateway.live import Live
from gateway.site import RunningSite
from tests.drivers.answers import IMAGES
from tests.drivers.test_selectlive import DEVICE_ID, answer, serving


@asynccontextmanager
async def running(folder: Path, **config: object) -> AsyncIterator[tuple[Bus, RunningSite]]:
    """The bus of `config`, polled."""
    clock, bus_config = SystemClock(), msgspec.convert({"name": "bus"} | config, BusConfig)
    profiles = {
        device.profile: load_profile(device.profile)
        for device in bus_config.devices
        if device.profile not in NOT_MODBUS
    }
    async with contextlib.AsyncExitStack() as stack:
        buffer = await Buffer.open(folder / "buffer.db")
        stack.push_async_callback(buffer.close)
        site = RunningSite("Mill", buffer, Live(clock), clock, lambda: SyncState(hub=""))
        identities = Identities({}, buffer.notebook, clock, site.event)
        bus = build_bus(bus_config, Surroundings(profiles, site, buffer, identities, clock, "UTC", folder, stack))
        site.add_bus(bus.watch, bus.devices)
        polling = asyncio.ensure_future(bus.poller.run())
        try:
            yield bus, site
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)


async def until(site: RunningSite, holds: Callable[[dict[str, DeviceState]], bool]) -> dict[str, DeviceState]:
    """The devices by name, once `holds` of them."""
    async with asyncio.timeout(20):
        async for _ in site.changes():
            devices = {device.name: device for device in site.state().devices}
            if holds(devices):
                return devices
    raise AssertionError("changes never end")


def values(device: DeviceState) -> dict[str, object]:
    return {reading.key: reading.value for reading in device.readings}


class GoodWeUdp(asyncio.DatagramProtocol):
    """A GoodWe dongle: RTU requests on UDP, answers with AA55 in front; each twice, as one firmware does."""

    def __init__(self, image: Image) -> None:
        self.image = image

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # it is one
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert crc(data[:-2]) == data[-2:]
        words = self.image.read("holding", int.from_bytes(data[2:4]), int.from_bytes(data[4:6]), 0)
        pdu = b"\x83\x02" if words is None else bytes([3, 2 * len(words)]) + b"".join(w.to_bytes(2) for w in words)
        frame = data[:1] + pdu
        self.transport.sendto((b"\xaa\x55" + frame + crc(frame)) * 2, addr)


async def test_a_goodwe_inverter_is_read_over_udp(tmp_path: Path) -> None:
    image = load_image(IMAGES / "goodwe-et-gw10k.json")
    expected = msgspec.json.decode((IMAGES / "goodwe-et-gw10k.expected.json").read_bytes())
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: GoodWeUdp(image), local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    device = {"name": "inverter", "profile": "goodwe-et", "poll_s": 0.2, "unit_id": image.unit_id}
    async with running(tmp_path, udp=f"127.0.0.1:{port}", devices=[device]) as (_, site):
        devices = await until(site, lambda found: found["inverter"].presence == "online" and bool(found["inverter"].ts))
    transport.close()
    got = values(devices["inverter"])
    compared = {key: value for key, value in expected["values"].items() if key in got}
    assert len(compared) > 20
    assert {key: got[key] for key in compared} == compared


async def test_a_bus_may_be_captured_while_it_runs(tmp_path: Path) -> None:
    image = load_image(IMAGES / "pzem-004t.json")
    async with Farm([SimulatedBus("bus", (SimulatedDevice("pzem", 1, image),))]) as farm:
        device = {"name": "pzem", "profile": "pzem-004t", "poll_s": 0.2}
        endpoint = f"127.0.0.1:{farm.ports['bus']}"
        async with running(tmp_path, tcp=endpoint, capture="bus.cap", devices=[device]) as (_, site):
            await until(site, lambda found: found["pzem"].presence == "online")
    header, pieces = read_capture(tmp_path / "bus.cap")
    assert header.where == endpoint
    assert [piece.direction for piece in pieces[:2]] == [">", "<"]


async def test_lock_boards_and_a_modbus_unit_share_a_line_and_a_lock_is_opened_between_polls(tmp_path: Path) -> None:
    board = SimulatedBoard()

    def relay(heard: bytes) -> bytes:
        at = heard.find(b"\x05\x01")  # reads of coils of unit 5
        if at < 0:
            return b""
        pdu = b"\x05\x01" + bytes([(int.from_bytes(heard[at + 4 : at + 6]) + 7) // 8]) + b"\x05"
        return pdu + crc(pdu)

    line = SimulatedLine({3: board}, neighbour=relay)
    async with line.on_tcp() as port:
        devices = [
            {"name": "carts", "profile": "kerong-cu16", "unit_id": 3, "poll_s": 0.1},
            {"name": "relays", "profile": "waveshare-relay", "unit_id": 5, "poll_s": 0.1},
        ]
        async with running(tmp_path, tcp=f"127.0.0.1:{port}", framing="rtu", devices=devices) as (bus, site):
            await until(site, lambda found: all(device.presence == "online" for device in found.values()))
            outcome = await bus.poller.first(lambda: bus.boards["carts"].unlock(7))
            assert outcome.result == "verified"
            found = await until(site, lambda found: values(found["carts"])["lock_7"] == 0)
    assert values(found["carts"])["lock_8"] == 1
    assert board.pulses == [7]


async def test_a_select_live_is_a_bus_of_its_own(tmp_path: Path) -> None:
    async def point(request: web.Request) -> web.Response:
        return answer()

    app = web.Application()
    app.router.add_get(f"/cgi-bin/solarmonweb/devices/{DEVICE_ID}/point", point)
    async with serving(app) as host:
        device = {"name": "house", "profile": "selectronic-sp-pro", "poll_s": 0.2}
        live = {"host": host, "device_id": DEVICE_ID}
        async with running(tmp_path, selectlive=live, devices=[device]) as (_, site):
            found = await until(site, lambda found: bool(found["house"].readings))
    assert 99.0859375 in values(found["house"]).values()
