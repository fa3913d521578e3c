"""A house with solar panels, a battery and a grid connection, at any time: pure, the same for the same seed.

One week is worked out minute by minute and comes again every week. Energy is the integral of power
since ORIGIN_S, so it only grows, and goes on where the time is when a simulator starts again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import exp, pi, sin

from drivers.simulator.noise import noise

ORIGIN_S = 1_704_067_200  # 2024-01-01, a Monday; energy before it is 0
STEP_S = 60
STEPS = 7 * 86_400 // STEP_S
DAY_STEPS = STEPS // 7

PV_PEAK_W = 8_000.0
BATTERY_WH = 10_000.0
BATTERY_W = 4_000.0
SOC_MIN = 0.1

FLOWS = ("pv", "load", "charge", "discharge", "import", "export")
"""Where power flows, always 0 or more: pv + discharge + import = load + charge + export."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The house at one time."""

    now_s: float
    power_w: Mapping[str, float]  # by flow
    energy_wh: Mapping[str, float]  # by flow, since ORIGIN_S
    today_wh: Mapping[str, float]  # by flow, since midnight UTC
    soc: float  # percent
    sun: float  # 0 at night, 1 at noon


class Household:
    """`at` gives the house at any time."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._power, self._soc = _week(seed)
        self._areas = {flow: _areas(self._power[flow]) for flow in FLOWS}

    def at(self, now_s: float) -> Moment:
        _, step, part = self._place(now_s)
        power = {flow: _between(series, step, part) for flow, series in self._power.items()}
        energy = {flow: self._energy_wh(flow, now_s) for flow in FLOWS}
        midnight_s = now_s - now_s % 86_400
        today = {flow: energy[flow] - self._energy_wh(flow, midnight_s) for flow in FLOWS}
        power["load"] *= 1 + 0.02 * noise(f"{self._seed}/ripple", now_s)
        net = power["load"] + power["charge"] - power["pv"] - power["discharge"]
        power |= {"import": max(net, 0.0), "export": max(-net, 0.0)}
        soc = 100 * _between(self._soc, step, part)
        return Moment(now_s, power, energy, today, soc, _sun((step + part) % DAY_STEPS))

    def _energy_wh(self, flow: str, now_s: float) -> float:
        weeks, step, part = self._place(now_s)
        if weeks < 0:
            return 0.0
        power, areas = self._power[flow], self._areas[flow]
        area = weeks * areas[STEPS] + areas[step] + part * (power[step] + _between(power, step, part))
        return area * STEP_S / 7200

    @staticmethod
    def _place(now_s: float) -> tuple[int, int, float]:
        """The week, the step in it, and how much of that step has passed."""
        steps, rest = divmod(now_s - ORIGIN_S, STEP_S)
        weeks, step = divmod(int(steps), STEPS)
        return weeks, step, rest / STEP_S


def _between(series: Sequence[float], step: int, part: float) -> float:
    return series[step] + (series[(step + 1) % STEPS] - series[step]) * part


def _areas(series: Sequence[int]) -> tuple[int, ...]:
    """Twice the area under `series`, in watt-steps, from the start of the week to each step and to its end.

    Whole numbers, so that no rounding ever lets an energy go down.
    """
    ends = (*series[1:], series[0])
    return tuple(accumulate((here + there for here, there in zip(series, ends, strict=True)), initial=0))


def _sun(step: float) -> float:
    return max(0.0, sin(pi * (step / DAY_STEPS * 24 - 6) / 12))


def _load_w(seed: int, step: int) -> int:
    hour = step % DAY_STEPS / DAY_STEPS * 24
    meals = 900 * exp(-(((hour - 7.5) / 1.2) ** 2)) + 2200 * exp(-(((hour - 18.5) / 1.6) ** 2))
    fridge = 150 * (noise(f"{seed}/fridge", step / 8) > 0.2)
    return round(350 + meals * (1 + 0.4 * noise(f"{seed}/meal", step / 30)) + fridge)


def _pv_w(seed: int, step: int) -> int:
    sky = 0.75 + 0.25 * noise(f"{seed}/day", step // DAY_STEPS)
    high = float(_sun(step % DAY_STEPS) ** 1.3)
    return round(PV_PEAK_W * high * sky * (0.85 + 0.15 * noise(f"{seed}/cloud", step / 12)))


@cache
def _week(seed: int) -> tuple[dict[str, tuple[int, ...]], tuple[float, ...]]:
    """Power by flow in watts and the battery's charge (0 to 1), each at the beginning of every minute."""
    loads = [_load_w(seed, step) for step in range(STEPS)]
    solar = [_pv_w(seed, step) for step in range(STEPS)]
    soc = 0.5
    rows: list[tuple[int, ...]] = []
    charges: list[float] = []
    for _ in range(2):  # the first pass finds the charge with which the week begins
        rows.clear()
        charges.clear()
        for load_w, pv_w in zip(loads, solar, strict=True):
            lacking_w = load_w - pv_w
            discharge = int(min(max(lacking_w, 0), BATTERY_W, (soc - SOC_MIN) * BATTERY_WH * 3600 / STEP_S))
            charge = int(min(max(-lacking_w, 0), BATTERY_W, (1 - soc) * BATTERY_WH * 3600 / STEP_S))
            grid_w = lacking_w - discharge + charge
            rows.append((pv_w, load_w, charge, discharge, max(grid_w, 0), max(-grid_w, 0)))
            charges.append(soc)
            soc += (charge - discharge) * STEP_S / 3600 / BATTERY_WH
    return dict(zip(FLOWS, zip(*rows, strict=True), strict=True)), tuple(charges)
