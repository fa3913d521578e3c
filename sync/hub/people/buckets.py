"""How often each caller may ask: a bucket of tokens for each, in memory, of as many callers as there is room for."""

from collections import OrderedDict

from gateway.core.clock import Clock

KEPT_MAX = 20_000  # callers; of more the one that asked longest ago is forgotten


class Buckets:
    """`per_s` more each second, up to `most`, with which a caller begins."""

    def __init__(self, per_s: float, most: float, clock: Clock, *, kept_max: int = KEPT_MAX) -> None:
        self._per_s = per_s
        self._most = most
        self._clock = clock
        self._kept_max = kept_max
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when

    def wait_s(self, key: str) -> float:
        """0: it may, and has taken one; else how many seconds until there is one."""
        now = self._clock.monotonic_s()
        left, since = self._left.pop(key, (self._most, now))
        left = min(self._most, left + max(0.0, now - since) * self._per_s)
        may = left >= 1
        self._left[key] = (left - may, now)
        if len(self._left) > self._kept_max:
            self._left.popitem(last=False)
        return 0.0 if may else (1 - left) / self._per_s
