"""What happened on a bus, counted: by unit and for all of it."""

from collections import Counter, deque
from dataclasses import dataclass, field

LATENCIES_KEPT = 200  # the newest of a unit, for median and 95th percentile


@dataclass(slots=True)
class UnitStatistics:
    """One unit's answers since the start; times in seconds."""

    asked: int = 0
    answered: int = 0  # exceptions too: the unit is there
    timeouts: int = 0  # nothing at all came
    garbled: int = 0  # bytes came, but no whole frame with a good checksum
    foreign: int = 0  # a good frame came, but it answered something else
    late: int = 0  # replies that came when nobody waited for them any more
    exceptions: Counter[int] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    busy_s: float = 0  # of the bus's time
    unanswered_s: float = 0  # the part of it that was waited in vain


@dataclass(slots=True)
class BusStatistics:
    """One bus since the start."""

    units: dict[int, UnitStatistics] = field(default_factory=dict)
    connects: int = 0
    disconnects: int = 0
    connect_failures: int = 0
    noise_bytes: int = 0  # that came unasked and are no frame
    busy_s: float = 0

    def unit(self, unit_id: int) -> UnitStatistics:
        return self.units.setdefault(unit_id, UnitStatistics())
