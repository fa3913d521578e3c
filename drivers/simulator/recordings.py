"""Answers of real devices as others have recorded them, to images.

The formats are those of the collection that stands beside the repository: raw GoodWe frames,
SunSpec register dumps, runs of Eastron registers, one PZEM frame.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from drivers.modbus.frames import crc
from drivers.modbus.registers import Table
from drivers.simulator.image import Image, unrolled
from gateway.core.errors import CodecError

AA55 = b"\xaa\x55"  # GoodWe puts it before an RTU frame over UDP
MBAP_BYTES = 7
EASTRON_TABLES: Mapping[str, Table] = {"ir": "input", "hr": "holding"}


def frame_words(text: str) -> tuple[int, list[int]]:
    """The unit id and the registers of one recorded reply in hexadecimal: AA55 and RTU, RTU, or MBAP.

    Blanks anywhere are passed over, and so is what follows the first reply. Raises CodecError for
    a reply that is cut short, of another function, or whose RTU checksum is wrong.
    """
    frame = bytes.fromhex(text)
    mbap = frame[2:4] == b"\0\0" and int.from_bytes(frame[4:6]) == len(frame) - 6
    frame = frame[MBAP_BYTES - 1 :] if mbap else frame.removeprefix(AA55)
    if len(frame) < 3 or frame[1] not in (3, 4) or len(frame) < 3 + frame[2]:
        raise CodecError(f"no whole reply of registers: {frame[:8].hex(' ')}")
    end = 3 + frame[2]
    if not mbap and frame[end : end + 2] != crc(frame[:end]):
        raise CodecError(f"wrong checksum: {frame[:8].hex(' ')}")
    return frame[0], [int.from_bytes(frame[at : at + 2]) for at in range(3, end, 2)]


def goodwe_images(folder: Path) -> dict[str, Image]:
    """Each inverter of `expected.json` by its name, out of the frames in `raw/`."""
    devices = _json(folder / "expected.json")["devices"]
    return {device["device"]: _goodwe_image(folder, device["blocks"]) for device in devices}


def _goodwe_image(folder: Path, blocks: Sequence[Mapping[str, Any]]) -> Image:
    words: dict[int, int] = {}
    unit_id = 0
    for block in blocks:
        if "file" in block:
            unit_id, registers = frame_words((folder / block["file"]).read_text())
            words.update(unrolled({block["first_register"]: registers[: block["count"]]}))
    return Image(unit_id, {"holding": words})


def sunspec_image(path: Path) -> Image:
    """One register dump of a SunSpec device."""
    dump = _json(path)
    return Image(dump["unit_id"], {"holding": unrolled({dump["base_address"]: dump["registers"]})})


def eastron_image(path: Path) -> Image:
    """The first capture of an Eastron meter, `ir:0` for input register 0, `hr:` for holding ones."""
    tables: dict[Table, dict[int, int]] = {}
    for run in _json(path)["captures"][0]["readable_runs"]:
        kind, _, first = run["first"].partition(":")
        tables.setdefault(EASTRON_TABLES[kind], {}).update(unrolled({int(first): run["values"]}))
    return Image(1, tables)


def pzem_image(path: Path) -> Image:
    """The meter's one recorded frame, registers 0 to 9."""
    unit_id, registers = frame_words(_json(path)["response"])
    return Image(unit_id, {"input": unrolled({0: registers})})


def _json(path: Path) -> Any:
    return msgspec.json.decode(path.read_bytes())
