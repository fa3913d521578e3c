"""How a device is known to be of a profile: what certain registers of it hold."""

import re
from collections.abc import Iterator
from typing import Annotated

from drivers.modbus.codec import decoder
from drivers.modbus.planner import Block
from drivers.modbus.registers import WORDS, Checked, Order, Register, RegisterType, Table, Words, about
from gateway.core.model import Raw


class IdentifySpec(Checked, frozen=True, kw_only=True):
    """One entry of `identify:`; a device is of the profile where all of them hold."""

    table: Annotated[Table | None, about("the profile's own table without")] = None
    register: Annotated[Register, about("0-based, as on the wire")]
    type: RegisterType
    words: Annotated[Words | None, about("of a text; 2 characters each")] = None
    matches: Annotated[str | None, about("a regular expression that is found in the text")] = None
    values: Annotated[tuple[int | float | str, ...], about("the numbers or texts that it may be, unscaled")] = ()
    range: Annotated[tuple[float, float] | None, about("the least and the greatest that it may be, unscaled")] = None

    @property
    def count(self) -> int:
        return self.words if self.words is not None else WORDS.get(self.type, 1)

    def block(self, table: Table) -> Block:
        """What must be read for it; `table` is the profile's own."""
        return Block(self.table or table, self.register, self.count)

    def holds(self, words: bytes, order: Order) -> bool:
        """Whether what was read of `block` is as it must be; `order` is the profile's own."""
        value = decoder(self.type, self.count, order)(words, 0)
        return value is not None and self._holds(value)

    def _holds(self, value: Raw) -> bool:
        if self.matches is not None and not re.search(self.matches, str(value)):
            return False
        if self.values and value not in self.values:
            return False
        return self.range is None or (not isinstance(value, str) and self.range[0] <= value <= self.range[1])

    def problems(self, table: Table) -> Iterator[tuple[str, str]]:
        """Which key does not fit, and what was expected."""
        if self.matches is None and not self.values and self.range is None:
            yield "", "expected one of matches, values and range"
        if (self.type == "text") != (self.words is not None):
            yield "words", "expected for a text, and only there"
        if self.register + self.count > 65536:
            yield "register", "ends beyond 65535"
        if (self.type == "bit") != ((self.table or table) in ("coil", "discrete")):
            yield "type", "expected bit in a coil or discrete input, and only there"
        if self.matches is not None:
            if self.type not in ("text", "ymdhms"):
                yield "matches", "expected only for a text"
            try:
                re.compile(self.matches)
            except re.error as error:
                yield "matches", f"not a regular expression: {error}"
        if self.range is not None and self.range[0] > self.range[1]:
            yield "range", "expected the least first"
        if self.range is not None and self.type in ("text", "ymdhms"):
            yield "range", "expected only for a number"
