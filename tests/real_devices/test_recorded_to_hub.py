"""What real devices once answered, served over a socket, polled, buffered, pushed, and read back at the hub."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers.bus.channel import TcpChannel
from drivers.modbus.device import ModbusDevice
from drivers.modbus.tcp import TcpLink
from drivers.simulator import recordings
from drivers.simulator.farm import Farm, SimulatedBus, SimulatedDevice
from drivers.simulator.image import Image, load_image
from gateway.core.clock import SystemClock
from gateway.core.errors import DeviceError
from gateway.core.model import readings_of
from tests.drivers.answers import DEVICE_DATA, IMAGES, WHY_SKIPPED, profile, read_all
from tests.sync.parts import site, synced, syncing

FIXTURES = sorted(path.name.removesuffix(".expected.json") for path in IMAGES.glob("*.expected.json"))


async def at_the_hub(folder: Path, images: dict[str, tuple[str, Image]]) -> dict[str, dict[str, object]]:
    """Each device's values as the hub has them, by key; `images` has profile name and image by device."""
    buses = [SimulatedBus(name, (SimulatedDevice(name, image.unit_id, image),)) for name, (_, image) in images.items()]
    async with Farm(buses) as farm, site(folder) as (buffer, hub):
        for name, (profile_name, image) in images.items():
            link = TcpLink(TcpChannel("127.0.0.1", farm.ports[name]))
            of = profile(profile_name)
            device = ModbusDevice(name, profile_name, of, link, SystemClock(), unit_id=image.unit_id)
            for group in device.intervals:
                try:
                    taken = await device.read(group)
                except DeviceError:  # a group that was not recorded
                    continue
                if taken is not None:
                    buffer.put(taken[0], [taken[1]])
            await link.close()
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        values: dict[str, dict[str, object]] = {name: {} for name in images}
        for layout in await hub.store.layouts("node"):
            for record in await hub.store.records("node", layout.id):
                values[layout.device] |= {r.key: r.value for r in readings_of(layout, record)}
        return values


def same(value: object, expected: object) -> bool:
    """Whether a value is the expected one, as far as a 32-bit float tells."""
    if isinstance(value, int | float) and isinstance(expected, int | float):
        return value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    return value == expected


async def test_the_hub_has_what_the_recorded_devices_are_known_to_say(tmp_path: Path) -> None:
    expected: dict[str, dict[str, Any]] = {
        name: msgspec.json.decode((IMAGES / f"{name}.expected.json").read_bytes()) for name in FIXTURES
    }
    images = {name: (expected[name]["profile"], load_image(IMAGES / f"{name}.json")) for name in FIXTURES}
    values = await at_the_hub(tmp_path, images)
    for name, (profile_name, image) in images.items():
        named = {
            f"{r.placed.model}/{r.placed.path}": r.placed.point.key
            for r in await read_all(image, profile(profile_name))
        }
        known = {named.get(key, key): value for key, value in expected[name]["values"].items()}
        assert len(known) >= 7
        assert not {
            key: values[name].get(key) for key, value in known.items() if not same(values[name].get(key), value)
        }


@pytest.mark.skipif(not DEVICE_DATA.exists(), reason=WHY_SKIPPED)
async def test_the_hub_has_every_value_of_the_whole_collection(tmp_path: Path) -> None:
    """That the profiles decode the collection to its expected values is shown in tests/drivers/test_images.py."""
    images = {"sdm630": ("eastron-sdm630", recordings.eastron_image(DEVICE_DATA / "eastron/expected_sdm630.json"))}
    for path in (DEVICE_DATA / "sunspec/raw").glob("*.json"):
        images[path.stem] = ("sunspec", recordings.sunspec_image(path))
    for name, image in recordings.goodwe_images(DEVICE_DATA / "goodwe").items():
        dt = 30100 in image.tables["holding"] or 30001 in image.tables["holding"]
        images[name] = ("goodwe-dt" if dt else "goodwe-et", image)
    values = await at_the_hub(tmp_path, images)
    assert len(images) >= 19
    for name, (profile_name, image) in images.items():
        decoded = {r.placed.point.key: r.value for r in await read_all(image, profile(profile_name))}
        missed = {key for key, value in decoded.items() if value is not None and not same(values[name].get(key), value)}
        assert not missed, name
        assert any(value is not None for value in values[name].values()), name
