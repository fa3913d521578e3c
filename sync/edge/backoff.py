"""How long to wait after failures: exponential with full jitter, so that a fleet spreads itself out."""

import math
from dataclasses import dataclass
from random import Random

from sync.broker.patience import USUAL, Patience


@dataclass(slots=True)
class Backoff:
    """One stream's; `failures` in a row so far."""

    random: Random
    patience: Patience = USUAL
    failures: int = 0
    error: str = ""  # of the last attempt, and what to do; empty: it went through
    next_at_s: float = 0.0  # monotonic, when the next attempt is due
    failed_s: float = math.inf  # monotonic, when the hub was away; infinity: not since the last success

    def failed(self, *, refused: bool = False, at_least_s: float = 0) -> float:
        """Seconds to wait before the next attempt; never under what the hub asked for.

        What it asked for it asked of many at once: up to as much again comes on top, by chance.
        """
        most = self.patience.refused_max_s if refused else self.patience.away_max_s
        ceiling = min(most, self.patience.first_s * 2 ** min(self.failures, 30))
        self.failures += 1
        return at_least_s + self.random.uniform(0, max(ceiling, at_least_s))

    def succeeded(self) -> None:
        self.failures = 0
        self.error = ""
        self.failed_s = math.inf
