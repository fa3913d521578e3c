"""A Selectronic SP PRO as a device that can be polled."""

from collections.abc import Mapping

from drivers.intake.guard import why_doubtful
from drivers.selectlive.answer import POINTS, Answer, parse_answer
from drivers.selectlive.breaker import Breaker
from drivers.selectlive.feed import Feed
from gateway.core.clock import Clock
from gateway.core.errors import CodecError, DeviceError
from gateway.core.model import DATED, Layout, Record, Role

PROFILE = "selectronic-sp-pro"
LIVE = "live"
STALE_S = 600.0


class SelectLive:
    """One SP PRO; what it measured is stamped by its own clock where that can be right, else by ours."""

    def __init__(
        self, name: str, feed: Feed, clock: Clock, *, role: Role | None = None, poll_s: float = 10,
        breaker: Breaker | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.profile_name = PROFILE
        self.unit_id = -1  # it has none
        self.why_missing: Mapping[str, str] = {}
        self.role: Role = role or "battery"
        self.intervals: Mapping[str, float] = {LIVE: poll_s}
        self._layout = Layout(name, LIVE, tuple(POINTS.values()), PROFILE, self.role)
        self._feed = feed
        self._clock = clock
        self._breaker = breaker or Breaker(clock)
        self._trouble = DeviceError("")  # the last one
        self._last_ts = 0
        self._last_new_s = 0.0  # monotonic

    async def read(self, group: str) -> tuple[Layout, Record] | None:
        """What is new; None where the device shows the same measurement as before.

        Raises DeviceError without a sensible answer, without asking while the breaker is open, and
        where the measurement has not changed for STALE_S: the box answers, but the inverter does not.
        """
        if not self._breaker.may_call():
            raise DeviceError(
                f"{self._feed.name} is not asked for {self._breaker.wait_s:.0f} s more"
                f" after {self._breaker.failures} failures: {self._trouble}",
                hint=self._trouble.hint,
            )
        try:
            answer = await self._answer()
        except DeviceError as error:
            self._trouble = error
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return self._record(answer)

    def wait_s(self) -> float:
        """It is alone on its bus, and its breaker says when not to ask."""
        return 0.0

    async def close(self) -> None:
        await self._feed.close()

    async def _answer(self) -> Answer:
        body = await self._feed.fetch()
        try:
            return parse_answer(body)
        except CodecError as error:
            hint = "check that this is the address of a select.live"
            raise DeviceError(f"{self._feed.name} answers with {error}", hint=hint) from error

    def _record(self, answer: Answer) -> tuple[Layout, Record] | None:
        now_ms, now_s = self._clock.wall_ms(), self._clock.monotonic_s()
        ts, flags = (now_ms, 0) if why_doubtful(answer.ts, now_ms) else (answer.ts, DATED)
        if ts == self._last_ts:
            if now_s - self._last_new_s > STALE_S:
                message = f"{self._feed.name} has shown the same measurement for {now_s - self._last_new_s:.0f} s"
                raise DeviceError(message, hint="check the cable from the select.live to the inverter")
            return None
        self._last_ts, self._last_new_s = ts, now_s
        return self._layout, Record(self._layout.id, ts, self._layout.rows.pack(answer.values), flags)
