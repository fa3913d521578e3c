"""Values to registers: the way back from what a device would measure, pure.

Written apart from the driver's own decoding, so that the two can disagree.
"""

import struct
from datetime import UTC, datetime
from math import floor, nan

Value = float | str | None
"""In the point's unit; None where the device has none to give."""

INTEGERS = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q"}
BCD = {"bcd16": ("H", 9999), "bcd32": ("I", 99_999_999)}
FLOATS = {"f32": "f", "f64": "d"}
HALVES = {"bit": ("B", 0), "u8_high": ("B", 8), "u8_low": ("B", 0), "i8_high": ("b", 8), "i8_low": ("b", 0)}


def words_of(
    value: Value, register_type: str, *, count: int, scale: float = 1, offset: float = 0, order: str = "big",
    missing: tuple[int, ...] = (), upward: bool = False,
) -> list[int]:  # fmt: skip
    """`count` registers that hold `value`; of a half register only that half is set.

    None becomes the first of `missing`, else 0; in a float NaN, in BCD a digit that is none. Numbers
    are cut to what the type holds and step aside from `missing`; with `upward`, as counters need,
    they round down. A `ymdhms` wants seconds since 1970.
    """
    if register_type == "text":
        return _swapped(_words(str(value or "").encode("ascii", "replace")[: 2 * count].ljust(2 * count, b"\0")), order)
    if isinstance(value, str):
        raise TypeError(f"a text for a {register_type}")
    if register_type == "ymdhms":
        return _swapped(_words(_moment(value or 0.0)), order)
    if register_type in FLOATS:
        number = nan if value is None else (value - offset) / scale
        return _ordered(_words(struct.pack(">" + FLOATS[register_type], number)), order)
    raw = _raw(value, scale, offset, upward)
    if register_type in BCD:
        code, most = BCD[register_type]
        digits = "f" if raw is None else str(min(max(raw, 0), most))
        return _ordered(_words(struct.pack(">" + code, int(digits, 16))), order)
    if register_type in HALVES:
        code, shift = HALVES[register_type]
        return [struct.pack(">" + code, _within(raw, code, missing))[0] << shift]
    code = INTEGERS[register_type]
    return _ordered(_words(struct.pack(">" + code, _within(raw, code, missing))), order)


def _raw(value: float | None, scale: float, offset: float, upward: bool) -> int | None:
    if value is None:
        return None
    number = value if scale == 1 and not offset else (value - offset) / scale
    return floor(number) if upward else round(number)


def _within(raw: int | None, code: str, missing: tuple[int, ...]) -> int:
    if raw is None:
        return missing[0] if missing else 0
    bits = 8 * struct.calcsize(code)
    least, most = (0, (1 << bits) - 1) if code.isupper() else (-(1 << bits - 1), (1 << bits - 1) - 1)
    raw = min(max(raw, least), most)
    return raw - 1 if raw in missing and raw > least else raw


def _moment(now_s: float) -> bytes:
    moment = datetime.fromtimestamp(now_s, UTC)
    return bytes([moment.year % 100, moment.month, moment.day, moment.hour, moment.minute, moment.second])


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


def _ordered(words: list[int], order: str) -> list[int]:
    """Words in the order that the device has them; `order` may have both words and bytes turned."""
    return _swapped(words[::-1] if order.startswith("little") else words, order)


def _swapped(words: list[int], order: str) -> list[int]:
    return [word >> 8 | (word & 0xFF) << 8 for word in words] if order.endswith("swapped") else words
