"""How often somebody may guess: so many wrong tries a minute from one address, and from all together."""

from collections import OrderedDict, deque

from gateway.core.clock import Clock

WINDOW_S = 60.0
OF_ONE, OF_ALL = 10, 300
ADDRESSES_MAX = 10_000


class Tries:
    """What succeeds is not counted: many gateways may come from one address."""

    def __init__(self, clock: Clock, *, of_one: int = OF_ONE, of_all: int = OF_ALL) -> None:
        self._clock = clock
        self._of_one, self._of_all = of_one, of_all
        self._all: deque[float] = deque(maxlen=of_all)
        self._one: OrderedDict[str, deque[float]] = OrderedDict()

    def allowed(self, address: str) -> bool:
        since_s = self._clock.monotonic_s() - WINDOW_S
        own = self._one.get(address, ())
        return _count(self._all, since_s) < self._of_all and _count(own, since_s) < self._of_one

    def failed(self, address: str) -> None:
        """Count a wrong try."""
        now_s = self._clock.monotonic_s()
        self._all.append(now_s)
        self._one.setdefault(address, deque(maxlen=self._of_one)).append(now_s)
        self._one.move_to_end(address)
        if len(self._one) > ADDRESSES_MAX:
            self._one.popitem(last=False)


def _count(times: "deque[float] | tuple[()]", since_s: float) -> int:
    return sum(at > since_s for at in times)
