"""A clock that stands still unless it is moved."""


class ManualClock:
    """Both times go on together; `wall_at_ms` is the wall time at first."""

    def __init__(self, wall_at_ms: int = 1_790_000_000_000) -> None:
        self._wall_at_ms = wall_at_ms
        self._gone_s = 0.0

    def go_on(self, seconds: float) -> None:
        self._gone_s += seconds

    def wall_ms(self) -> int:
        return self._wall_at_ms + round(self._gone_s * 1000)

    def monotonic_s(self) -> float:
        return self._gone_s
