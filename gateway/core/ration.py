"""How often something that strangers can repeat may be logged."""

from dataclasses import dataclass
from typing import Protocol


class Monotonic(Protocol):
    def monotonic_s(self) -> float: ...


@dataclass(slots=True)
class Ration:
    """One line in `every_s`; what came in between is counted."""

    clock: Monotonic
    every_s: float = 60
    suppressed: int = 0
    _next_s: float = float("-inf")

    def spend(self) -> int | None:
        """How many lines were suppressed before this one; None where this one is to be suppressed, too."""
        if self.clock.monotonic_s() < self._next_s:
            self.suppressed += 1
            return None
        self._next_s = self.clock.monotonic_s() + self.every_s
        before, self.suppressed = self.suppressed, 0
        return before
