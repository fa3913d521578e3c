"""A Kerong-type lock board on a line: its hooks as points, and its locks to open.

A pulse is sent once and never again (P8): whether it worked is what the hook says afterwards.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from drivers.bus.question import Question
from drivers.locks.frames import BOARD_MAX, LOCKS, BoardState, StatusQuestion, UnlockQuestion, WakeQuestion
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, DeviceError
from gateway.core.model import Layout, Point, Record, Role

PROFILE = "kerong-cu16"
LIVE = "live"
TIMEOUT_S = 0.3
OPEN_WITHIN_S = 3.0
READ_BACK_EVERY_S = 0.1
A = TypeVar("A")

log = logging.getLogger(__name__)


class Line(Protocol):
    """The bus that the board is on; one conversation at a time."""

    @property
    def name(self) -> str: ...

    async def ask(self, question: Question[A], timeout_s: float) -> A:
        """Raises DeviceError without an answer; sends the question at most once."""
        ...

    def wait_s(self, unit_id: int) -> float: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command, in words for the person who gave it."""

    result: Literal["verified", "failed", "unknown"]
    words: str


class LockBoard:
    """One board; `closed_bit` is what its hooks' bits are while closed: it goes by the locks' switches."""

    def __init__(
        self, name: str, line: Line, clock: Clock, *, unit_id: int = 0, role: Role | None = None, poll_s: float = 5,
        timeout_s: float = TIMEOUT_S, open_within_s: float = OPEN_WITHIN_S, closed_bit: Literal[0, 1] = 1,
    ) -> None:  # fmt: skip
        """Raises ConfigError for a unit id that no board can have."""
        if not 0 <= unit_id <= BOARD_MAX:
            raise ConfigError(f"{name}: unit_id {unit_id}: lock boards are 0-{BOARD_MAX}", hint="see its switches")
        self.name = name
        self.profile_name = PROFILE
        self.role: Role = role or "lock"
        self.intervals: Mapping[str, float] = {LIVE: poll_s}
        self._layout = Layout(name, LIVE, POINTS, PROFILE, self.role)
        self._line = line
        self._clock = clock
        self.unit_id = unit_id
        self.why_missing: Mapping[str, str] = {}
        self._timeout_s = timeout_s
        self._open_within_s = open_within_s
        self._closed_bit = closed_bit
        self._maybe_busy = False
        self._one_at_a_time = asyncio.Lock()

    async def read(self, group: str) -> tuple[Layout, Record] | None:
        """Read all hooks and sensors. Raises DeviceError where the board does not answer."""
        state = await self._state()
        taken_at = self._clock.wall_ms()
        locks = range(1, LOCKS + 1)
        values = [int(self._is_closed(state, lock)) for lock in locks] + [state.sensors >> n & 1 for n in range(LOCKS)]
        return self._layout, Record(self._layout.id, taken_at, self._layout.rows.pack(values))

    def wait_s(self) -> float:
        """So long it should be left alone: a late answer of it may still be under way."""
        return self._line.wait_s(self.unit_id)

    async def unlock(self, lock: int, *, before_pulse: Callable[[], Awaitable[None]] | None = None) -> Outcome:
        """Open `lock` (1-16) with one pulse, and say what its hook says afterwards.

        A lock that is open already gets no pulse; neither does one whose hook cannot be read first.
        `before_pulse` is awaited just before the pulse: there the caller notes that the command is
        sent, or raises because it expired meanwhile. Where this is cancelled, or the gateway dies,
        behind that moment, the outcome is unknown, and it must not be tried again.
        """
        if not 1 <= lock <= LOCKS:
            return Outcome("failed", f"{self.name} has the locks 1-{LOCKS}, no lock {lock}; nothing was sent")
        async with self._one_at_a_time:
            try:
                state = await self._state()
            except DeviceError as error:
                return Outcome("failed", f"the hook of lock {lock} could not be read, so no pulse was sent: {error}")
            if not self._is_closed(state, lock):
                return Outcome("verified", f"lock {lock} was open already; no pulse was sent")
            if before_pulse is not None:
                await before_pulse()
            try:
                return await self._pulse(lock)
            except asyncio.CancelledError:
                log.warning("cancelled behind a pulse", extra={"device": self.name, "lock": lock})
                raise

    async def _pulse(self, lock: int) -> Outcome:
        until_s = self._clock.monotonic_s() + self._open_within_s
        self._maybe_busy = True
        with contextlib.suppress(DeviceError):  # silence says nothing: boards need not answer a pulse
            await self._line.ask(UnlockQuestion(self.unit_id, lock), self._timeout_s)
        while True:
            try:
                state = await self._state()
            except DeviceError as error:
                outcome = Outcome("unknown", f"after the pulse, the hook of lock {lock} could not be read: {error}")
            else:
                if not self._is_closed(state, lock):
                    return Outcome("verified", f"lock {lock} is open")
                words = f"lock {lock} is still closed {self._open_within_s:g} s after the pulse; check lock and supply"
                outcome = Outcome("failed", words)
            if self._clock.monotonic_s() >= until_s:
                return outcome
            await asyncio.sleep(READ_BACK_EVERY_S)

    async def _state(self) -> BoardState:
        """How the locks stand. A board that is silent behind a pulse, or for a second time, is woken first."""
        question = StatusQuestion(self.unit_id)
        try:
            state = await self._line.ask(question, self._timeout_s)
        except DeviceError:
            if not self._maybe_busy:
                self._maybe_busy = True
                raise
            with contextlib.suppress(DeviceError):
                await self._line.ask(WakeQuestion(self.unit_id), self._timeout_s)
            state = await self._line.ask(question, self._timeout_s)
        self._maybe_busy = False
        return state

    def _is_closed(self, state: BoardState, lock: int) -> bool:
        return state.hook(lock) == self._closed_bit


def _points() -> tuple[Point, ...]:
    hook, sensor = {"0": "open", "1": "closed"}, {"0": "clear", "1": "blocked"}
    return tuple(
        Point(f"{key}_{n}", "bit", kind="enum", names=names)
        for key, names in (("lock", hook), ("sensor", sensor))
        for n in range(1, LOCKS + 1)
    )


POINTS = _points()
