"""How long to wait after failures: exponential with full jitter, so that a fleet spreads itself out."""

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

    def failed(self, *, refused: bool = False, at_least_s: float = 0) -> float:
        """Seconds to wait before the next attempt; never under what the hub asked for."""
        most = REFUSED_MAX_S if refused else AWAY_MAX_S
        ceiling = min(most, FIRST_S * 2 ** min(self.failures, 30))
        self.failures += 1
        return max(at_least_s, self.random.uniform(0, ceiling))

    def succeeded(self) -> None:
        self.failures = 0
