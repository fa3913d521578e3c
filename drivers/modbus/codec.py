"""Registers to numbers and texts, pure."""

import struct
from collections.abc import Callable
from datetime import datetime
from math import isnan

from gateway.core.model import Raw

Decoder = Callable[[bytes, int], Raw | None]
"""Takes the words of a block and the byte offset in it; None where the bytes are no value."""

NUMBERS = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q", "f32": "f", "f64": "d"}
TURNED = {"big": ">", "little-swapped": "<"}  # the orders that struct knows: all bytes forwards, all backwards
BCD = ("bcd16", "bcd32")
HALVES = {"u8_high": ("B", 0), "u8_low": ("B", 1), "i8_high": ("b", 0), "i8_low": ("b", 1), "bit": ("B", 1)}

STORED = {"u8_high": "u8", "u8_low": "u8", "i8_high": "i8", "i8_low": "i8", "ymdhms": "text:19",
          "bcd16": "u16", "bcd32": "u32"}  # fmt: skip
"""The `Point.type` of a register type, where it is not the same word; of a text it is its bytes."""


def decoder(register_type: str, count: int, order: str) -> Decoder:
    """How to decode `count` registers of `register_type`; `order` is that of the words of a number.

    A text or a date is never read from its last word, but its bytes too may be swapped; halves say
    themselves which byte they are.
    """
    if register_type in HALVES:
        code, half = HALVES[register_type]
        unpack_half = struct.Struct(code).unpack_from
        return lambda words, offset: unpack_half(words, offset + half)[0]
    arrange = _swapped if order.endswith("swapped") else bytes
    if register_type == "text":
        return lambda words, offset: _text(arrange(words[offset : offset + 2 * count]))
    if register_type == "ymdhms":
        return lambda words, offset: _moment(arrange(words[offset : offset + 2 * count]))
    if register_type in BCD:
        number = decoder("u16" if count == 1 else "u32", count, order)
        return lambda words, offset: _decimal(number(words, offset))
    return _number_decoder(NUMBERS[register_type], count, order)


def _number_decoder(code: str, count: int, order: str) -> Decoder:
    if count == 1:
        order = "little-swapped" if order.endswith("swapped") else "big"
    unpack = struct.Struct(TURNED.get(order, "<" if order == "little" else ">") + code).unpack_from
    if order not in TURNED:  # bytes one way, words the other
        return lambda words, offset: _number(unpack(_swapped(words[offset : offset + 2 * count]))[0])
    if code in "fd":
        return lambda words, offset: _number(unpack(words, offset)[0])
    return lambda words, offset: unpack(words, offset)[0]


def _number(number: int | float) -> int | float | None:
    return None if isinstance(number, float) and isnan(number) else number


def _decimal(number: Raw | None) -> int | None:
    """The digits, four bits each, as a number; None where one is above 9."""
    digits = f"{number:x}"
    return int(digits) if digits.isdecimal() else None


def _swapped(words: bytes) -> bytes:
    """The same words, each with its two bytes changed."""
    turned = bytearray(len(words))
    turned[::2], turned[1::2] = words[1::2], words[::2]
    return bytes(turned)


def _text(data: bytes) -> str | None:
    """ASCII up to the first NUL after it began; what no text begins with (NUL, 0xFF) is skipped."""
    return data.lstrip(b"\0\xff ").partition(b"\0")[0].decode("ascii", errors="replace").strip() or None


def _moment(data: bytes) -> str | None:
    """Six bytes: year since 2000, month, day, hour, minute, second; the device's own local time."""
    year, month, day, hour, minute, second = data
    try:
        return datetime(2000 + year, month, day, hour, minute, second).isoformat(" ")
    except ValueError:
        return None
