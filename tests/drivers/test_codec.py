"""Registers to numbers and back: every type in every order, and what is no value."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.codec import STORED, decoder
from drivers.modbus.load import parse_profile
from drivers.modbus.points import decode_point, locate, place_points
from drivers.modbus.registers import WORDS
from drivers.simulator.encode import words_of
from gateway.core.model import Point, Raw
from gateway.core.row import RowFormat

ORDERS = ("big", "little", "big-swapped", "little-swapped")
TYPES = [*WORDS, "text"]
HEAD = "make: A\nmodel: B\nsource: s\nlicence: l\n"


def values_of(register_type: str) -> st.SearchStrategy[Any]:
    """All that a type can hold, as far as it is a value."""
    if register_type == "text":
        return st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
    if register_type == "ymdhms":
        return st.integers(946_684_800, 4_102_444_799).map(float)  # the years 2000 to 2099
    if register_type in ("f32", "f64"):
        return st.floats(allow_nan=False, width=32 if register_type == "f32" else 64)
    if register_type.startswith("bcd"):
        return st.integers(0, 10 ** (4 * WORDS[register_type]) - 1)
    if register_type == "bit":
        return st.integers(0, 1)
    width = 8 if register_type[1] == "8" else 16 * WORDS[register_type]
    least = 0 if register_type[0] == "u" else -(2 ** (width - 1))
    return st.integers(least, least + 2**width - 1)


def decoded(words: list[int], register_type: str, order: str) -> Raw | None:
    data = b"\xff\xff" + b"".join(word.to_bytes(2) for word in words) + b"\xff\xff"
    return decoder(register_type, len(words), order)(data, 2)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("register_type", TYPES)
@given(data=st.data())
def test_what_is_encoded_is_decoded(register_type: str, order: str, data: st.DataObject) -> None:
    value = data.draw(values_of(register_type))
    count = 4 if register_type == "text" else WORDS[register_type]
    back = decoded(words_of(value, register_type, count=count, order=order), register_type, order)
    assert back == (datetime.fromtimestamp(value, UTC).strftime("%F %T") if register_type == "ymdhms" else value)


@pytest.mark.parametrize("register_type", [*WORDS])
@given(data=st.data())
def test_what_is_decoded_fits_the_type_that_keeps_it(register_type: str, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.integers(0, 65535), min_size=WORDS[register_type], max_size=WORDS[register_type]))
    raw = decoded(words, register_type, "big")
    rows = RowFormat((STORED.get(register_type, register_type),))
    assert rows.unpack(rows.pack([raw]))[0] == raw


@pytest.mark.parametrize(
    ("order", "data"),
    [
        ("big", "01 02 03 04"),
        ("little", "03 04 01 02"),
        ("big-swapped", "02 01 04 03"),
        ("little-swapped", "04 03 02 01"),
    ],
)
def test_the_four_orders_are_the_four_that_devices_have(order: str, data: str) -> None:
    words = bytes.fromhex(data)
    assert decoder("u32", 2, order)(words, 0) == 0x01020304
    assert decoder("bcd32", 2, order)(words, 0) == 1020304
    assert decoder("f32", 2, order)(words, 0) == struct.unpack(">f", bytes.fromhex("01020304"))[0]


def test_a_single_word_and_a_text_are_turned_only_where_bytes_are_swapped() -> None:
    assert decoder("u16", 1, "little")(b"\x01\x02", 0) == 0x0102
    assert decoder("u16", 1, "little-swapped")(b"\x01\x02", 0) == 0x0201
    assert decoder("text", 2, "little")(b"abc\0", 0) == "abc"
    assert decoder("text", 2, "big-swapped")(b"ba\0c", 0) == "abc"


@pytest.mark.parametrize("digits", ["9A", "A9", "0F", "FFFF"])
def test_a_bcd_digit_above_nine_is_no_value(digits: str) -> None:
    assert decoder("bcd16", 1, "big")(bytes.fromhex(digits.zfill(4)), 0) is None


def readings(points: str, *words: int) -> dict[str, Raw | None]:
    """What one read from register 0 on makes of the points."""
    placed = place_points(parse_profile(HEAD + "points:\n" + points, "p.yaml"))
    blocks = sorted({block for point in placed for block in point.blocks}, key=lambda block: block.count)[-1:]
    answer = {blocks[0]: b"".join(word.to_bytes(2) for word in words)}
    located = [locate(point, blocks) for point in placed]
    decoded_points = [decode_point(one, answer.get(one.block), answer) for one in located]
    return {reading.placed.point.key: reading.value for reading in decoded_points}


SCALED = """\
  - {key: power, register: 0, type: i16, sf: exponent, scale: 0.5, offset: 1}
  - {key: exponent, register: 3, type: i16, missing: [9]}
"""


@pytest.mark.parametrize(
    ("exponent", "value"), [(0, 11), (1, 101), (0xFFFE, 1.1), (10, 1e11 + 1), (11, None), (0x8000, None), (9, None)]
)
def test_a_scale_factor_multiplies_and_where_it_is_none_the_value_is_missing(exponent: int, value: Raw | None) -> None:
    assert readings(SCALED, 20, 0, 0, exponent)["power"] == value


def test_a_number_and_its_scale_factor_are_of_one_read() -> None:
    power, exponent = place_points(parse_profile(HEAD + "points:\n" + SCALED, "p.yaml"))
    assert [(block.address, block.count) for block in power.blocks] == [(0, 4)]
    assert [(block.address, block.count) for block in exponent.blocks] == [(3, 1)]


def test_an_offset_is_added_after_the_scale() -> None:
    assert readings("  - {key: t, register: 0, type: u16, scale: 0.1, offset: -40}\n", 653)["t"] == 25.3
    assert Point("t", "u16", scale="0.1", offset="-40").value(653) == 25.3
