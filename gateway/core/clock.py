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
