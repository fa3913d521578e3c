"""How long to wait after failures: exponential with full jitter, so that a fleet spreads itself out."""

import math
from dataclasses import dataclass
from random import Random

FIRST_S = 1.0
AWAY_MAX_S = 60.0  # the network or the hub is away
REFUSED_MAX_S = 1800.0  # the hub is there and does not want us


@dataclass(slots=True)
class Backoff:
    """One stream's; `failures` in a row so far."""

    random: Random
    failures: int = 0
    error: str = ""  # of the last attempt, and what to do; empty: it went through
    next_at_s: float = 0.0  # monotonic, when the next attempt is due
    failed_s: float = math.inf  # monotonic, when the hub was away; infinity: not since the last success

    def failed(self, *, refused: bool = False, at_least_s: float = 0) -> float:
        """Seconds to wait before the next attempt; never under what the hub asked for.

        What it asked for it asked of many at once: up to as much again comes on top, by chance.
        """
        most = REFUSED_MAX_S if refused else AWAY_MAX_S
        ceiling = min(most, FIRST_S * 2 ** min(self.failures, 30))
        self.failures += 1
        return at_least_s + self.random.uniform(0, max(ceiling, at_least_s))

    def succeeded(self) -> None:
        self.failures = 0
        self.error = ""
        self.failed_s = math.inf
