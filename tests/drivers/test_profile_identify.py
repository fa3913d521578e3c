"""Which profile a device is known by: recorded devices are known by their own, and by no other."""

from collections.abc import Mapping

import msgspec
import pytest

from drivers.modbus.profile import Profile
from drivers.simulator import recordings
from drivers.simulator.image import Image, load_image
from tests.drivers.answers import DEVICE_DATA, IMAGES, PROFILES, WHY_SKIPPED, profile
from tests.drivers.test_profile_values import CASES, answering

SHIPPED = sorted(path.stem for path in PROFILES.glob("*.yaml"))
recorded_elsewhere = pytest.mark.skipif(not DEVICE_DATA.exists(), reason=WHY_SKIPPED)


def known(image: Image, of: Profile) -> bool:
    """Whether all that `of` wants of a device is so in `image`."""
    for wanted in of.identify:
        block = wanted.block(of.table)
        words = image.read(block.table, block.address, block.count, 0)
        if words is None or not wanted.holds(b"".join(word.to_bytes(2) for word in words), of.order):
            return False
    return bool(of.identify)


def knowing(image: Image) -> set[str]:
    return {name for name in SHIPPED if known(image, profile(name))}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_says_how_its_device_is_known(name: str) -> None:
    assert profile(name).identify


@pytest.mark.parametrize(
    ("image", "profiles"),
    [
        ("eastron-sdm630", {"eastron-sdm630"}),
        ("goodwe-dt-gw17k", {"goodwe-dt"}),
        ("goodwe-et-gw10k", {"goodwe-et"}),
        ("pzem-004t", {"pzem-004t"}),
        ("sunspec-fimer", {"sunspec"}),
    ],
)
def test_a_recorded_device_is_known_by_its_own_profile_alone(image: str, profiles: set[str]) -> None:
    assert knowing(load_image(IMAGES / f"{image}.json")) == profiles


@pytest.mark.parametrize("name", ["huawei-sun2000", "sungrow-sg", "sungrow-sh", "victron-gx"])
def test_a_device_that_names_itself_is_known_by_that(name: str) -> None:
    case = next(case for case in CASES if case.profile == name)
    assert knowing(answering(profile(name), case.tables)) == {name}


@recorded_elsewhere
def test_every_goodwe_inverter_that_gave_its_serial_number_is_known_by_its_family() -> None:
    folder = DEVICE_DATA / "goodwe"
    images = recordings.goodwe_images(folder)
    for device in msgspec.json.decode((folder / "expected.json").read_bytes())["devices"]:
        image = images[device["device"]]
        if image.read("holding", 30004, 8, 0) or image.read("holding", 35003, 8, 0):
            assert knowing(image) == {f"goodwe-{device['family'].lower()}"}, device["device"]


@recorded_elsewhere
def test_a_sunspec_inverter_is_known_by_its_maker_too() -> None:
    folder = DEVICE_DATA / "sunspec"
    makers: Mapping[str, set[str]] = {
        "fimer_pvs_2024-07-22": {"sunspec"},
        "sma_sunnyboy36_2023-08-10": {"sunspec", "sma-sunspec"},
        "sma_sunnyboy36_2025-06-08_night": {"sunspec", "sma-sunspec"},
    }
    for name, profiles in makers.items():
        assert knowing(recordings.sunspec_image(folder / "raw" / f"{name}.json")) == profiles
