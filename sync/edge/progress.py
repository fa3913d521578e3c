"""How quickly a stream gets on."""

from collections import deque

WINDOW_S = 60.0


class Progress:
    """What was acknowledged within the last minute; times are monotonic seconds."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque()
        self._since_s = 0.0  # when it began to get on

    def add(self, now_s: float, count: int) -> None:
        if not self._steps:
            self._since_s = now_s
        self._steps.append((now_s, count))
        self._forget(now_s)

    def per_s(self, now_s: float) -> float:
        self._forget(now_s)
        past_s = min(WINDOW_S, max(1.0, now_s - self._since_s))
        return sum(count for _, count in self._steps) / past_s

    def done_s(self, now_s: float, left: int) -> float | None:
        """Until `left` more have gone at that rate; None where nothing moves."""
        if not left:
            return 0.0
        rate = self.per_s(now_s)
        return left / rate if rate else None

    def _forget(self, now_s: float) -> None:
        while self._steps and self._steps[0][0] < now_s - WINDOW_S:
            self._steps.popleft()
