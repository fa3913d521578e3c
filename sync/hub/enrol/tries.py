"""How often somebody may guess: so many wrong tries a minute from one address.

Not from all together: whoever has many addresses could so keep out all who have a right code, and would have to guess
for ages all the same.
"""

from collections import OrderedDict, deque

from gateway.core.clock import Clock

WINDOW_S = 60.0
OF_ONE = 10
ADDRESSES_MAX = 10_000


class Tries:
    """What succeeds is not counted: many gateways may come from one address."""

    def __init__(self, clock: Clock, *, of_one: int = OF_ONE) -> None:
        self._clock = clock
        self._of_one = of_one
        self._one: OrderedDict[str, deque[float]] = OrderedDict()

    def allowed(self, address: str) -> bool:
        since_s = self._clock.monotonic_s() - WINDOW_S
        return sum(at > since_s for at in self._one.get(address, ())) < self._of_one

    def failed(self, address: str) -> None:
        """Count a wrong try."""
        now_s = self._clock.monotonic_s()
        self._one.setdefault(address, deque(maxlen=self._of_one)).append(now_s)
        self._one.move_to_end(address)
        if len(self._one) > ADDRESSES_MAX:
            self._one.popitem(last=False)
