"""Recorded answers: the formats they come in, and what the shipped profiles make of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers.modbus.frames import crc
from drivers.simulator import recordings
from drivers.simulator.image import Image, load_image
from gateway.core.errors import CodecError, ConfigError
from tests.drivers.answers import DEVICE_DATA, IMAGES, WHY_SKIPPED, profile, read_all

RECORDED = sorted(path.name.removesuffix(".expected.json") for path in IMAGES.glob("*.expected.json"))
recorded_elsewhere = pytest.mark.skipif(not DEVICE_DATA.exists(), reason=WHY_SKIPPED)
SHORT = b"\x81\x03\0\0\0\x05\xf7\x03\x04\x02\x01"  # the header is right, the count is not


def rtu(*registers: int, unit_id: int = 0xF7) -> bytes:
    """A whole RTU reply to a read of holding registers."""
    data = b"".join(register.to_bytes(2) for register in registers)
    frame = bytes([unit_id, 3, len(data)]) + data
    return frame + crc(frame)


def same(value: object, expected: object) -> bool:
    """Whether a decoded value is the expected one, as far as a 32-bit float tells."""
    if isinstance(value, (int, float)) and isinstance(expected, (int, float)):
        return value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    return value == expected


@pytest.mark.parametrize("name", RECORDED)
async def test_a_shipped_profile_decodes_what_a_real_device_answered(name: str) -> None:
    expected: Mapping[str, Any] = msgspec.json.decode((IMAGES / f"{name}.expected.json").read_bytes())
    readings = await read_all(load_image(IMAGES / f"{name}.json"), profile(expected["profile"]))
    decoded = {reading.placed.point.key: reading.value for reading in readings}
    decoded |= {f"{reading.placed.model}/{reading.placed.path}": reading.value for reading in readings}
    assert not {key: decoded.get(key) for key, value in expected["values"].items() if not same(decoded[key], value)}


def test_an_image_refuses_what_was_not_recorded() -> None:
    image = Image(1, {"holding": {10: 7, 11: 8}})
    assert image.read("holding", 10, 2, 0) == [7, 8]
    assert image.read("holding", 10, 3, 0) is None
    assert image.read("holding", 9, 2, 0) is None
    assert image.read("input", 10, 1, 0) is None


@pytest.mark.parametrize(
    "text",
    [
        (b"\xaa\x55" + rtu(513, 2)).hex(),
        rtu(513, 2).hex(),
        "  \n" + rtu(513, 2).hex(" "),
        (b"\xaa\x55" + rtu(513, 2)).hex() * 2,
        (b"\x81\x03\0\0\0\x07" + rtu(513, 2)[:-2]).hex(),
    ],
    ids=["AA55", "RTU", "blanks", "twice", "MBAP"],
)
def test_a_recorded_frame_is_read_however_it_is_framed(text: str) -> None:
    assert recordings.frame_words(text) == (0xF7, [513, 2])


@pytest.mark.parametrize("frame", [rtu(513, 2)[:-3], rtu(513, 2)[:-1] + b"\0", b"\xf7\x83\x02\x30\xc1", SHORT, b""])
def test_a_frame_that_is_cut_short_or_corrupt_is_refused(frame: bytes) -> None:
    with pytest.raises(CodecError):
        recordings.frame_words(frame.hex())


@pytest.mark.parametrize("content", ['{"device": "x"}', '{"tables": {"holding": {"0": [65536]}}}', "nothing"])
def test_a_file_that_is_no_image_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"broken\.json: not an image"):
        load_image(path)


GOODWE_TYPES = {
    "s16": "i16",
    "s32": "i32",
    "s8_high": "i8_high",
    "s8_low": "i8_low",
    "datetime_6bytes_YMDhms_2000": "ymdhms",
}
OURS_ALONE = {("i16", -1)}  # a frequency of -0.01 Hz: the phase is not there; the library decodes it


@recorded_elsewhere
async def test_every_recorded_goodwe_inverter_decodes_as_its_library_does() -> None:
    folder = DEVICE_DATA / "goodwe"
    images = recordings.goodwe_images(folder)
    for device in msgspec.json.decode((folder / "expected.json").read_bytes())["devices"]:
        readings = await read_all(images[device["device"]], profile(f"goodwe-{device['family'].lower()}"))
        by_place = {(reading.placed.block.address, reading.placed.type): reading for reading in readings}
        for point in device["points"]:
            if point.get("derived") or point["id"] == "errors" or point["id"].endswith("_label"):
                continue  # worked out of other points, or the words of one
            reading = by_place[point["register"], GOODWE_TYPES.get(point["type"], point["type"])]
            if reading.raw is None or (reading.placed.type, reading.raw) in OURS_ALONE:
                continue  # its block was not recorded
            if reading.value is None:
                assert point["value"] in (0, None), (device["device"], point["id"])
            elif reading.placed.type == "f32":  # given with three places
                assert reading.value == pytest.approx(point["value"], abs=6e-4)
            else:
                assert same(reading.value, point["value"]), (device["device"], point["id"])


FACTOR_MISSING = {(model, f"Crv[{curve}].RspTms") for model in (705, 706) for curve in range(3)}
"""Their scale factor is not there: no value to us; the library leaves the number as it is."""

READ_WHOLE = {121, 122, 123, *range(702, 714)}


@recorded_elsewhere
async def test_every_recorded_sunspec_device_decodes_as_pysunspec2_does() -> None:
    folder = DEVICE_DATA / "sunspec"
    for device in msgspec.json.decode((folder / "expected.json").read_bytes())["devices"]:
        expected = {
            (model["model"], point["path"]): point["value"] for model in device["models"] for point in model["points"]
        }
        readings = await read_all(recordings.sunspec_image(folder / device["file"]), profile("sunspec"))
        read = {(reading.placed.model, reading.placed.path) for reading in readings}
        assert not {place for place in expected if place[0] in READ_WHOLE and place[1] not in ("ID", "L")} - read
        for reading in readings:
            place = reading.placed.model, reading.placed.path
            if place in FACTOR_MISSING:
                assert reading.value is None
                continue
            assert same(reading.value, expected[place]), (device["name"], place)


@recorded_elsewhere
def test_the_small_images_hold_what_was_recorded() -> None:
    meter = recordings.eastron_image(DEVICE_DATA / "eastron" / "expected_sdm630.json")
    energy = recordings.pzem_image(DEVICE_DATA / "pzem004t" / "expected.json")
    assert load_image(IMAGES / "eastron-sdm630.json") == meter
    assert load_image(IMAGES / "pzem-004t.json") == energy
