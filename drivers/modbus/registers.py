"""What registers hold: tables, types and orders, and the widths of the types.

`Checked` is what every part of a profile is made of; `about` puts a description into its JSON Schema.
"""

from typing import Annotated, Literal

import msgspec

Table = Literal["holding", "input", "coil", "discrete"]
RegisterType = Literal[
    "bit", "u8_high", "u8_low", "i8_high", "i8_low", "u16", "i16", "u32", "i32", "u64", "i64",
    "f32", "f64", "bcd16", "bcd32", "text", "ymdhms",
]  # fmt: skip
Order = Literal["big", "little", "big-swapped", "little-swapped"]
"""Of the words in a number; `swapped`: the two bytes of each word change places too."""

WORDS = {"bit": 1, "u8_high": 1, "u8_low": 1, "i8_high": 1, "i8_low": 1, "u16": 1, "i16": 1, "u32": 2, "i32": 2,
         "f32": 2, "u64": 4, "i64": 4, "f64": 4, "bcd16": 1, "bcd32": 2, "ymdhms": 3}  # fmt: skip

Register = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Words = Annotated[int, msgspec.Meta(ge=1, le=64)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Pause = Annotated[float, msgspec.Meta(ge=0)]
Key = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="a word of a-z, 0-9 and _")]


class Checked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a profile; a key that it does not have is a mistake."""


def about(description: str) -> msgspec.Meta:
    """What a key says, for editors that show it."""
    return msgspec.Meta(description=description)


def bits(table: Table) -> bool:
    """Whether the table holds bits instead of registers."""
    return table in ("coil", "discrete")
