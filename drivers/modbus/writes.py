"""What may be written to a point, and how it is made sure; as a profile says it."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from drivers.modbus.registers import Checked, Pause, Seconds, Table, about

WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16
FUNCTIONS: dict[Table, tuple[int, ...]] = {
    "holding": (WRITE_REGISTER, WRITE_REGISTERS), "coil": (WRITE_COIL, WRITE_COILS),
}  # fmt: skip


class WriteSpec(Checked, frozen=True, kw_only=True):
    """The limits of a point that may be written; an enum needs none, its names are what may be written."""

    min: Annotated[float | None, about("in the point's unit")] = None
    max: Annotated[float | None, about("in the point's unit")] = None
    step: Annotated[float | None, about("only min and whole steps from it")] = None
    memory: Annotated[
        Literal["volatile", "stored"], about("stored: it wears out with each write, so it is written only on change")
    ]
    min_interval_s: Annotated[Pause, about("between two writes")] = 1
    per_day: Annotated[int, msgspec.Meta(ge=0), about("writes at most; 0: no limit")] = 0
    confirm: Annotated[str, about("the point that shows the effect; this one without")] = ""
    pulse_s: Annotated[Seconds | None, about("a pulse so long, which goes back by itself; a level without")] = None
    function: Annotated[Literal[5, 6, 15, 16] | None, about("Modbus function; by table and width without")] = None
    settle_s: Annotated[Pause, about("wait before reading back")] = 0

    def mistakes(self, named: bool) -> Iterator[str]:
        """What does not fit together; `named`: of an enum with names, which are limits enough."""
        if self.step is not None and self.step <= 0:
            yield "write.step: expected a number > 0"
        if self.min is not None and self.max is not None:
            if self.min >= self.max:
                yield "write.min: expected less than max"
        elif not named or self.min is not None or self.max is not None:
            yield "write: expected min and max, or an enum with names"

    def function_for(self, table: Table, words: int) -> int:
        """The function that writes `words` registers, or one bit, of `table`."""
        if self.function is not None:
            return self.function
        one, several = FUNCTIONS[table]
        return one if words == 1 else several
