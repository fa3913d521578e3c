"""A circuit breaker: who failed too often is left alone for a while; pure but for the clock that it is given."""

from typing import Literal

from gateway.core.clock import Clock

FAILURES_MAX = 5
PAUSE_S = 60.0


class Breaker:
    """Closed: calls go through. Open: none does. Half-open: one trial decides.

    Who calls asks `may_call` first and then tells how it went. A trial that never tells costs one more pause.
    """

    def __init__(self, clock: Clock, *, failures_max: int = FAILURES_MAX, pause_s: float = PAUSE_S) -> None:
        self.state: Literal["closed", "open", "half-open"] = "closed"
        self.failures = 0  # in a row
        self._clock = clock
        self._failures_max = failures_max
        self._pause_s = pause_s
        self._until_s = 0.0  # monotonic

    @property
    def wait_s(self) -> float:
        """How long no call will be let through; 0 where one may go now."""
        return 0.0 if self.state == "closed" else max(0.0, self._until_s - self._clock.monotonic_s())

    def may_call(self) -> bool:
        if self.wait_s > 0:
            return False
        if self.state != "closed":
            self._pause("half-open")
        return True

    def succeeded(self) -> None:
        self.state = "closed"
        self.failures = 0

    def failed(self) -> None:
        self.failures += 1
        if self.failures >= self._failures_max:
            self._pause("open")

    def _pause(self, state: Literal["open", "half-open"]) -> None:
        self.state = state
        self._until_s = self._clock.monotonic_s() + self._pause_s
