"""The only file that asks the machine for time: wall time for stamps, monotonic time for waits."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Protocol

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STA_UNSYNC = 0x0040  # of struct timex's `status`, linux/timex.h
PLAUSIBLE_FROM_MS, PLAUSIBLE_UNTIL_MS = 1_577_836_800_000, 4_102_444_800_000  # 2020 to 2100
TIME_ERROR = 5  # what adjtimex returns where the clock is not synchronised


class Clock(Protocol):
    """Wall time stamps what was measured; monotonic time measures waits, ages and timeouts."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC; may step when the machine learns the time."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start; never steps."""
        ...


class RawClock(Clock, Protocol):
    """What the machine knows of time; its wall time may be wrong."""

    @property
    def boot_id(self) -> str:
        """One start of the machine; another one has another id."""
        ...

    def boottime_ms(self) -> int:
        """Milliseconds since the machine was started, asleep or not; never steps."""
        ...

    def synchronised(self) -> bool:
        """Whether the kernel says that its wall time is right; False where it does not say."""
        ...


def plausible(wall_ms: int) -> bool:
    """Whether a clock that was ever set can show this."""
    return PLAUSIBLE_FROM_MS <= wall_ms < PLAUSIBLE_UNTIL_MS


class _Timex(ctypes.Structure):
    """The front of struct timex, and room for the rest; `modes` 0 changes nothing."""

    _fields_ = [
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_long * 48),
    ]  # fmt: skip


class SystemClock:
    """The machine's own clocks, as the kernel has them."""

    def __init__(self) -> None:
        self.boot_id = _boot_id()
        self._adjtimex: Callable[..., int] | None = getattr(ctypes.CDLL(None), "adjtimex", None)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def boottime_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def synchronised(self) -> bool:
        if self._adjtimex is None:
            return False
        timex = _Timex()
        said = self._adjtimex(ctypes.byref(timex))
        return 0 <= said < TIME_ERROR and not timex.status & STA_UNSYNC


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:  # not known to be the same boot: taken for another one
        return token_hex(16)
