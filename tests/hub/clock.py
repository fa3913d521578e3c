"""A clock for tests: time goes on where the test says so."""

NOW = 1_790_000_000_000  # wall ms


class StoppedClock:
    """It stands at `now`, wall ms."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def wall_ms(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return self.now / 1000

    def pass_s(self, seconds: float) -> None:
        self.now += round(seconds * 1000)
