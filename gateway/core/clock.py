"""The only source of time: one clock for stamps, one for waits."""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time stamps what was measured; monotonic time measures waits, ages and timeouts."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC; may step when the kernel learns the time."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start; never steps."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()


def seconds_to_next(every_s: float, now_ms: int) -> float:
    """Seconds from wall time `now_ms` to the next whole multiple of `every_s`; over 0, at most `every_s`.

    All buses share these instants, so that the work of a second happens in one burst and the
    processor sleeps between; the grid is absolute, so due times never drift.
    """
    every_ms = max(1, round(every_s * 1000))
    return (every_ms - now_ms % every_ms) / 1000
