"""What a bus has counted, as a state for page, metrics and doctor."""

from collections import deque
from collections.abc import Mapping
from statistics import median, quantiles

from msgspec.structs import replace

from gateway import doctor
from gateway.core.clock import Clock
from gateway.core.statistics import BusStatistics, UnitStatistics
from gateway.core.status import BusState, UnitState

WINDOW_S = 60.0
ADVICE_S = 3600.0  # advice is about the last hour or two: what was mended is no longer spoken of
MARK_S = 4.0  # notes are at least so far apart


class BusWatch:
    """Turns the counters of one bus into its state; loads are those of the last minute."""

    def __init__(
        self, name: str, where: str, kind: str, devices: Mapping[int, str], statistics: BusStatistics, clock: Clock
    ) -> None:
        self.name = name
        self._where = where
        self._kind = kind
        self._devices = devices
        self._statistics = statistics
        self._clock = clock
        self._started_s = clock.monotonic_s()
        self._marks: deque[tuple[float, float, dict[int, float]]] = deque()
        self._before: tuple[float, BusState | None] = self._started_s, None  # an hour ago or two
        self._lately: tuple[float, BusState | None] = self._before
        self.mark()

    def state(self) -> BusState:
        self.mark()
        state = self._counted()
        return replace(state, advice=tuple(doctor.advice(since(state, self._before[1]))))

    def _counted(self) -> BusState:
        now_s, busy_s, units_s = self._marks[-1]
        then_s, busy_then_s, units_then_s = self._marks[0]
        passed_s = max(now_s - then_s, 1e-9)
        units = tuple(
            self._unit(unit_id, unit, (units_s[unit_id] - units_then_s.get(unit_id, 0.0)) / passed_s, now_s)
            for unit_id, unit in sorted(self._statistics.units.items())
        )
        s = self._statistics
        return BusState(
            self.name, self._where, self._kind, s.connects, s.disconnects, s.connect_failures, s.noise_bytes,
            min(1.0, (busy_s - busy_then_s) / passed_s), units,
        )  # fmt: skip

    def response_ms(self, unit_id: int) -> float | None:
        """The median of a unit's last answers."""
        unit = self._statistics.units.get(unit_id)
        return 1000 * median(unit.latencies) if unit and unit.latencies else None

    def mark(self) -> None:
        """Note the counters, from which loads and advice are taken; wants to be called every few seconds."""
        now_s = self._clock.monotonic_s()
        if len(self._marks) > 1 and now_s - self._marks[-2][0] < MARK_S:
            self._marks.pop()
        units_s = {unit_id: unit.busy_s for unit_id, unit in self._statistics.units.items()}
        self._marks.append((now_s, self._statistics.busy_s, units_s))
        while len(self._marks) > 2 and self._marks[1][0] <= now_s - WINDOW_S:
            self._marks.popleft()
        if now_s - self._lately[0] >= ADVICE_S:
            self._before, self._lately = self._lately, (now_s, self._counted())

    def _unit(self, unit_id: int, unit: UnitStatistics, load: float, now_s: float) -> UnitState:
        latencies = sorted(unit.latencies)
        return UnitState(
            unit_id, self._devices.get(unit_id, ""), unit.asked, unit.answered, unit.timeouts, unit.garbled,
            unit.foreign, unit.late, {str(code): count for code, count in sorted(unit.exceptions.items())},
            1000 * median(latencies) if latencies else None,
            1000 * quantiles(latencies, n=20)[-1] if len(latencies) > 1 else None,
            min(1.0, load), unit.unanswered_s / max(now_s - self._started_s, 1e-9),
        )  # fmt: skip


COUNTS = ("asked", "answered", "timeouts", "garbled", "foreign", "late")


def since(now: BusState, before: BusState | None) -> BusState:
    """`now` with only what was counted since `before`; loads, times and shares stay as they are."""
    if before is None:
        return now
    known = {unit.unit_id: unit for unit in before.units}
    units = (_unit_since(unit, known[unit.unit_id]) if unit.unit_id in known else unit for unit in now.units)
    return replace(
        now, units=tuple(units), connects=now.connects - before.connects,
        disconnects=now.disconnects - before.disconnects,
        connect_failures=now.connect_failures - before.connect_failures,
        noise_bytes=now.noise_bytes - before.noise_bytes,
    )  # fmt: skip


def _unit_since(now: UnitState, before: UnitState) -> UnitState:
    counts = {name: getattr(now, name) - getattr(before, name) for name in COUNTS}
    exceptions = {code: count - before.exceptions.get(code, 0) for code, count in now.exceptions.items()}
    return replace(now, exceptions=exceptions, **counts)
