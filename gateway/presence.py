"""Whether a device that sends by itself still does; pure, times are monotonic seconds."""

from collections import deque
from dataclasses import dataclass, field

PATIENCE_S = 15 * 60.0  # while it is not known how often the device sends
PATIENCE_MIN_S = 60.0
INTERVALS = 3
BURST_S = 1.0  # what comes closer together is one sending


@dataclass(slots=True)
class Presence:
    """Of one device; `stale_s` is how long it may be silent, None: three times its usual interval."""

    heard_s: float
    stale_s: float | None = None
    gaps_s: deque[float] = field(default_factory=lambda: deque(maxlen=8))

    def heard(self, now_s: float, *, first: bool) -> None:
        """It sent something; `first`: since the start, so that the time before is no interval."""
        gap_s = now_s - self.heard_s
        if gap_s >= BURST_S and not first:
            self.gaps_s.append(gap_s)
        if gap_s >= BURST_S or first:
            self.heard_s = now_s

    @property
    def patience_s(self) -> float:
        if self.stale_s is not None:
            return self.stale_s
        return max(PATIENCE_MIN_S, INTERVALS * max(self.gaps_s)) if self.gaps_s else PATIENCE_S

    def silent(self, now_s: float) -> bool:
        return now_s - self.heard_s > self.patience_s
