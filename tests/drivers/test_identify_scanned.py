"""What a scanned device is said to be, and the configuration that is offered for it."""

import asyncio
from pathlib import Path

import pytest
import yaml

from drivers.modbus.links import Place
from drivers.modbus.requests import Read, Reply, Request
from drivers.scan.found import Found, Identity
from drivers.scan.identify import identify
from drivers.scan.snippet import snippet
from drivers.simulator.image import Image, load_image
from gateway.app import load_profile
from gateway.core.errors import DeviceError
from gateway.loadconfig import load_config
from gateway.profiles import profile_names
from tests.drivers.answers import IMAGES
from tests.drivers.ptyline import reply

NOBODY = Identity()
SHIPPED = {name: load_profile(name) for name in profile_names()}


class Device:
    """A link to one device; `own` is its answer to function 43/14, and units but `unit_id` are silent."""

    name = "device"

    def __init__(self, image: Image, own: bytes = b"") -> None:
        self.asked: list[Request] = []
        self._image = image
        self._own = own

    async def ask(self, request: Request, timeout_s: float, pause_s: float = 0) -> Reply:
        self.asked.append(request)
        await asyncio.sleep(0)
        if request.unit_id != self._image.unit_id:
            raise DeviceError("no answer")
        if not isinstance(request, Read):
            return Reply(words=self._own) if self._own else Reply(exception=1)
        pdu = reply(self._image, request.pdu)
        return Reply(exception=pdu[1]) if pdu[0] & 0x80 else Reply(words=pdu[2:])


def moved(image: Image, by: int) -> Image:
    return Image(image.unit_id, {"holding": {at + by: word for at, word in image.tables["holding"].items()}})


@pytest.mark.parametrize(
    ("image", "identity"),
    [
        ("goodwe-et-gw10k", Identity("goodwe-et", "GoodWe", "GW10K-ET", "9010KETU000W0000")),
        ("sunspec-fimer", Identity("sunspec", "FIMER", "-3Q58-", "118747-3Q58-4221")),
        ("eastron-sdm630", Identity("eastron-sdm630", "Eastron", "SDM630 Modbus V2")),
        ("pzem-004t", Identity("pzem-004t", "Peacefair", "PZEM-004T v3")),
    ],
)
async def test_a_recorded_device_is_named_with_make_model_and_serial(image: str, identity: Identity) -> None:
    recorded = load_image(IMAGES / f"{image}.json")
    assert await identify(Device(recorded), recorded.unit_id, SHIPPED, timeout_s=1) == identity


async def test_a_sunspec_chain_is_found_at_each_of_its_bases() -> None:
    recorded = load_image(IMAGES / "sunspec-fimer.json")
    for by in (-40000, 10000):
        found = await identify(Device(moved(recorded, by)), recorded.unit_id, SHIPPED, timeout_s=1)
        assert (found.profile, found.make) == ("sunspec", "FIMER")


async def test_a_maker_on_sunspec_is_known_by_its_own_profile_and_the_general_one_is_mentioned() -> None:
    recorded = load_image(IMAGES / "sunspec-fimer.json")
    make = b"Fronius".ljust(32, b"\0")
    words = {40004 + at: int.from_bytes(make[2 * at : 2 * at + 2]) for at in range(16)}
    fronius = Image(1, {"holding": dict(recorded.tables["holding"]) | words})
    found = await identify(Device(fronius), 1, SHIPPED, timeout_s=1)
    assert (found.profile, found.make, found.others) == ("fronius", "Fronius", ("sunspec",))


async def test_a_device_without_a_profile_is_named_by_its_own_identification() -> None:
    own = bytes([0, 0, 3, 0, 4]) + b"ACME" + bytes([1, 5]) + b"M-100" + bytes([2, 3]) + b"1.0"
    found = await identify(Device(Image(9), own), 9, SHIPPED, timeout_s=1)
    assert found == Identity("", "ACME", "M-100")


async def test_no_profile_asks_a_scanned_device_more_than_a_line_can_bear() -> None:
    device = Device(Image(9))
    await identify(device, 9, SHIPPED, timeout_s=1)
    assert len(device.asked) == len(set(device.asked))  # nothing twice
    assert len(device.asked) <= 2 * len(SHIPPED)


def found(place: Place, unit_id: int, identity: Identity = NOBODY) -> Found:
    return Found(place, unit_id, "answers FC4 at 0", identity)


def test_the_snippet_is_a_configuration_whatever_the_devices_say_of_themselves(tmp_path: Path) -> None:
    meter = Identity("eastron-sdm630", "Eastron", "SDM630")
    odd = Identity("sunspec", 'A/B "{\\', "x: y\n#\0 é", "[1]")
    bus = Place(tcp="[fe80::1]:502")
    serial = Place(serial="/dev/serial/by-id/usb-FTDI", baud=19200, parity="even")
    devices = [
        found(bus, 1, meter), found(Place(tcp="10.0.0.2:502", framing="rtu"), 3, odd), found(bus, 2, meter),
        found(bus, 5), found(serial, 1, meter), found(Place(udp="10.0.0.3:8899"), 247, Identity("goodwe-et")),
        found(Place(tcp="10.0.0.9:502"), 1, Identity("", "ACME\n", "M: 1")),
    ]  # fmt: skip
    (tmp_path / "site.yaml").write_text(snippet(devices), encoding="utf-8")
    config, _ = load_config(tmp_path / "site.yaml")
    names = [device.name for bus in config.buses for device in bus.devices]
    assert names[:3] == ["Eastron SDM630", "Eastron SDM630 2", 'A-B "{- x: y # é [1]']
    assert [(bus.serial, bus.baud, bus.parity) for bus in config.buses if bus.serial] == [
        ("/dev/serial/by-id/usb-FTDI", 19200, "even")
    ]
    assert [bus.framing for bus in config.buses] == ["tcp", "rtu", "tcp", "tcp"]
    assert [device.unit_id for bus in config.buses for device in bus.devices] == [1, 2, 3, 1, 247]


def test_devices_that_no_profile_fits_stand_in_the_snippet_as_comments() -> None:
    text = snippet([found(Place(tcp="10.0.0.2:502"), 3)])
    assert yaml.safe_load(text) == {"buses": []}
    assert "# - unit 3, unknown: answers FC4 at 0" in " ".join(text.split())
