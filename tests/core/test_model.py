"""Points, layouts and rows."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import Layout, Point, Quality, Record, decode_layout, readings_of
from gateway.core.row import RowFormat


def test_a_decimal_scale_is_rounded_once() -> None:
    assert Point("v", "u16", scale="0.1").value(3) == 0.3
    assert Point("e", "u32", scale="0.001").value(3254462) == 3254.462


def test_a_missing_value_is_absent_and_never_zero() -> None:
    layout = Layout("m", "live", (Point("a", "u16"), Point("b", "f32"), Point("c", "text:4"), Point("d", "u16")))
    record = Record(layout.id, 0, layout.rows.pack([None, math.nan, None, 0]))
    readings = readings_of(layout, record)
    assert [r.value for r in readings] == [None, None, None, 0]
    assert [r.quality for r in readings] == [Quality.MISSING] * 3 + [Quality.GOOD]


@pytest.mark.parametrize(
    ("raw", "scale", "offset"),
    [(math.inf, "9e99", "0"), (1e300, "9e99", "0"), (9e199, "9" * 99 + "e99", "1")],
)
def test_what_no_number_can_hold_is_missing_and_no_error(raw: float, scale: str, offset: str) -> None:
    assert Point("v", "f64", scale=scale, offset=offset).value(raw) in (None, math.inf)


def test_a_scale_that_is_no_number_of_this_world_is_no_layout() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_layout(Layout("m", "live", (Point("a", "u16", scale="9" * 5000),)).encoded)


def test_names_of_bits_that_there_are_not_and_bits_of_no_value_say_nothing() -> None:
    point = Point("a", "u16", kind="bitfield", names={"x": "no", "-1": "no", "0": "on", "99999999999": "no"})
    layout = Layout("m", "live", (point, Point("b", "u8")))
    record = Record(layout.id, 0, b"\xfc" + layout.rows.pack([1, 7])[1:])
    assert [(r.value, r.words) for r in readings_of(layout, record)] == [(1, "on"), (7, "")]


def test_a_layout_has_the_same_id_wherever_it_is_made_and_another_one_when_it_differs() -> None:
    layout = Layout("m", "live", (Point("a", "u16", names={"2": "on", "1": "off"}),))
    assert decode_layout(layout.encoded).id == layout.id
    assert Layout("m", "live", (Point("a", "u16", names={"1": "off", "2": "on"}),)).id == layout.id
    assert Layout("m", "live", (Point("a", "u16", unit="W"),)).id != layout.id


@given(st.lists(st.one_of(st.none(), st.integers(0, 65535)), min_size=1, max_size=40))
def test_a_row_gives_back_what_was_packed(values: list[int | None]) -> None:
    rows = RowFormat(("u16",) * len(values))
    assert rows.unpack(rows.pack(values)) == values


def test_a_value_too_large_for_its_type_is_an_error_and_not_another_value() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        RowFormat(("u16",)).pack([65536])


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="row of 2 bytes"):
        RowFormat(("u16",)).unpack(b"ab")


def test_an_offset_is_applied_with_one_rounding_and_never_to_what_is_no_number() -> None:
    celsius = Point("t", "u16", scale="0.1", offset="-273.15")
    assert celsius.value(2982) == 25.05
    assert celsius.value(None) is None
    assert Point("t", "f64", offset="1").value(math.inf) == math.inf
    layout = Layout("m", "live", (celsius, Point("n", "text:4", offset="1")))
    record = Record(layout.id, 0, layout.rows.pack([2982, "abc"]))
    assert [r.value for r in readings_of(layout, record)] == [25.05, "abc"]


def test_a_layout_without_an_offset_keeps_the_id_that_it_had_before_there_were_offsets() -> None:
    layout = Layout("m", "live", (Point("a", "u16", scale="0.1"),), role="meter")
    assert layout.encoded == (
        b'{"device":"m","group":"live","points":[{"key":"a","type":"u16","scale":"0.1"}],"profile":"","role":"meter"}'
    )
    assert Layout("m", "live", (Point("a", "u16", scale="0.1", offset="0"),), role="meter").id == layout.id
