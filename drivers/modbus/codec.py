"""Registers to numbers and texts, pure."""

import struct
from collections.abc import Callable
from datetime import datetime
from math import isnan

from gateway.core.model import Raw

Decoder = Callable[[bytes, int], Raw | None]
"""Takes the words of a block and the byte offset in it; None where the bytes are no value."""

NUMBERS = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q", "f32": "f", "f64": "d"}
HALVES = {"u8_high": ("B", 0), "u8_low": ("B", 1), "i8_high": ("b", 0), "i8_low": ("b", 1), "bit": ("B", 1)}

STORED = {"u8_high": "u8", "u8_low": "u8", "i8_high": "i8", "i8_low": "i8", "ymdhms": "text:19"}
"""The `Point.type` of a register type, where it is not the same word; of a text it is its bytes."""


def decoder(register_type: str, count: int, order: str) -> Decoder:
    """How to decode `count` registers of `register_type`; `order` is that of the words."""
    if register_type == "text":
        return lambda words, offset: _text(words[offset : offset + 2 * count])
    if register_type == "ymdhms":
        return _moment
    if register_type in HALVES:
        code, half = HALVES[register_type]
        unpack_half = struct.Struct(code).unpack_from
        return lambda words, offset: unpack_half(words, offset + half)[0]
    unpack = struct.Struct(">" + NUMBERS[register_type]).unpack_from
    if order == "big" or count == 1:
        return (
            (lambda words, offset: _number(unpack(words, offset)[0]))
            if register_type[0] == "f"
            else (lambda words, offset: unpack(words, offset)[0])
        )
    return lambda words, offset: _number(unpack(_turned(words[offset : offset + 2 * count]))[0])


def _number(number: int | float) -> int | float | None:
    return None if isinstance(number, float) and isnan(number) else number


def _turned(words: bytes) -> bytes:
    """The same words, last one first."""
    return b"".join(words[at : at + 2] for at in range(len(words) - 2, -1, -2))


def _text(data: bytes) -> str | None:
    """ASCII up to the first NUL after it began; what no text begins with (NUL, 0xFF) is skipped."""
    return data.lstrip(b"\0\xff ").partition(b"\0")[0].decode("ascii", errors="replace").strip() or None


def _moment(words: bytes, offset: int) -> str | None:
    """Six bytes: year since 2000, month, day, hour, minute, second; the device's own local time."""
    year, month, day, hour, minute, second = words[offset : offset + 6]
    try:
        return datetime(2000 + year, month, day, hour, minute, second).isoformat(" ")
    except ValueError:
        return None
