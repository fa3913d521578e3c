"""One record's values as a row of bytes, each at the width that its register has.

A row is a bitmap of what is missing (bit i of byte i // 8 set: value i is missing), then every
value in the layout's order, big end first, text padded with NUL. A missing value's bytes are 0,
so that equal records are equal bytes. Rows of one layout all have the same length.
"""

import struct
from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

CODES = {"bit": "B", "u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i",
         "u64": "Q", "i64": "q", "f32": "f", "f64": "d"}  # fmt: skip


class Place(NamedTuple):
    """Where one value of a layout stands among the columns of `RowFormat.widths`."""

    column: int
    code: str  # as in CODES; `Ns` for text, which takes N columns
    bitmap: int  # the column of the bitmap that says where it is missing
    bit: int


class RowFormat:
    """How the values of one layout are packed; `types` as in `Point.type`."""

    def __init__(self, types: tuple[str, ...]) -> None:
        self._types = types
        self._bitmap = (len(types) + 7) // 8
        codes = [f"{type_[5:]}s" if type_.startswith("text:") else CODES[type_] for type_ in types]
        self._struct = struct.Struct(">" + "".join(codes))
        self._blank = tuple(b"" if code.endswith("s") else 0 for code in codes)
        self.size = self._bitmap + self._struct.size
        self.widths = bytes(self._column_widths(codes))
        self.places = self._places(codes)

    def _column_widths(self, codes: list[str]) -> list[int]:
        """The widths of the columns that a row falls into: numbers whole, bitmap and text by byte."""
        widths = [1] * self._bitmap
        for code in codes:
            widths += [1] * int(code[:-1]) if code.endswith("s") else [struct.calcsize(">" + code)]
        return widths

    def _places(self, codes: list[str]) -> tuple[Place, ...]:
        places, column = [], self._bitmap
        for index, code in enumerate(codes):
            places.append(Place(column, code, index // 8, 1 << index % 8))
            column += int(code[:-1]) if code.endswith("s") else 1
        return tuple(places)

    def pack(self, values: Sequence[int | float | str | None]) -> bytes:
        """`values` in the layout's order; None, and NaN too, is missing.

        Raises ValueError where a value does not fit its type; text is cut to its width.
        """
        missing = 0
        packed: list[int | float | bytes] = []
        for index, value in enumerate(values):
            if value is None or (isinstance(value, float) and isnan(value)):
                missing |= 1 << index
                packed.append(self._blank[index])
            elif isinstance(value, str):
                packed.append(value.encode())
            else:
                packed.append(value)
        try:
            return missing.to_bytes(self._bitmap, "little") + self._struct.pack(*packed)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{values} do not fit {self._types}: {error}") from error

    def unpack(self, row: bytes) -> list[int | float | str | None]:
        """The inverse of `pack`. Raises ValueError for a row of another length."""
        if len(row) != self.size:
            raise ValueError(f"a row of {len(row)} bytes where the layout has {self.size}")
        values: list[int | float | str | None] = [
            value.rstrip(b"\0").decode(errors="replace") if isinstance(value, bytes) else value
            for value in self._struct.unpack_from(row, self._bitmap)
        ]
        missing = int.from_bytes(row[: self._bitmap], "little") & (1 << len(values)) - 1
        while missing:
            lowest = missing & -missing
            values[lowest.bit_length() - 1] = None
            missing ^= lowest
        return values
