"""What energy cost and brought in under a tariff; pure.

Sums are exact fractions until a line is made: there net and VAT are each rounded once, to a millionth of the
currency, half to even. Totals are sums of lines. So neither the order of the intervals nor how they are cut
changes anything; only reports by days and by months may differ from each other, by a millionth a line.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gateway.core.localtime import QUARTER_MS, begin_of, days, days_in_month, days_in_year, local
from gateway.core.tariff import Component, Fixed, Market, Power, Tariff, Version
from gateway.core.timeofuse import TimeOfUse

By = Literal["day", "month", "period"]
Way = Literal["import", "export", "fixed", "power"]
PER_UNIT = 10**6
KWH_PER_MWH = 1000


class Interval(NamedTuple):
    """Energy between two instants at whole quarters of an hour, even over its time; kWh, exact."""

    ts: int
    until: int
    imported: Fraction
    exported: Fraction


class Price(msgspec.Struct, frozen=True):
    """A day-ahead price from `ts` on for so many minutes."""

    ts: int
    minutes: int
    value: Decimal  # per MWh
    currency: str


class Line(msgspec.Struct, frozen=True):
    """One component's period in one stretch of the report; amounts are what is paid, income is below 0."""

    stretch: str  # by day 2026-11-21, by month 2026-11; by period: empty
    way: Way
    component: str
    period: str
    version: date  # of the tariff: since when these prices hold
    kwh: Decimal | None  # None for what is not for energy
    net: Decimal
    vat: Decimal

    @property
    def gross(self) -> Decimal:
        return self.net + self.vat


class Unbilled(msgspec.Struct, frozen=True):
    """Energy that a component was not asked for, and why."""

    ts: int
    until: int
    kwh: Decimal
    why: Literal["no price", "no tariff yet"]
    component: str


class Cost(msgspec.Struct, frozen=True):
    lines: tuple[Line, ...]
    unbilled: tuple[Unbilled, ...]

    @property
    def net(self) -> Decimal:
        return sum((line.net for line in self.lines), Decimal(0))

    @property
    def vat(self) -> Decimal:
        return sum((line.vat for line in self.lines), Decimal(0))

    @property
    def gross(self) -> Decimal:
        return self.net + self.vat


class _Key(NamedTuple):
    stretch: str
    way: Way
    number: int  # among the components of its way
    component: str
    period_number: int
    period: str
    version: date
    vat: Decimal


class _Sum:
    """Of one line."""

    __slots__ = ("kwh", "net")

    def __init__(self) -> None:
        self.kwh, self.net = Fraction(0), Fraction(0)


def cost_of_energy(
    tariff: Tariff, since: date, until: date, intervals: Iterable[Interval], prices: Iterable[Price], by: By
) -> Cost:
    """What flowed on the local days since <= day < until; what is outside counts for nothing.

    Raises ValueError for intervals that do not begin and end at quarters, and for prices of another currency.
    """
    return _Bill(tariff, prices, by).of(since, until, intervals)


def cost_of_standing(tariff: Tariff, since: date, until: date, intervals: Iterable[Interval], by: By) -> Cost:
    """Fixed charges and power of the local days since <= day < until; `intervals`: all that the site drew.

    Raises ValueError as `cost_of_energy` does.
    """
    zone, sums = ZoneInfo(tariff.timezone), defaultdict[_Key, _Sum](_Sum)
    peaks = _peaks(tariff, zone, list(intervals))
    for day in days(since, until):
        if (version := tariff.version_at(day)) is None:
            continue
        charges: Sequence[Fixed | Power] = (*version.fixed, *version.power)
        for index, charge in enumerate(charges):
            way: Way = "power" if isinstance(charge, Power) else "fixed"
            vat = tariff.vat if charge.vat is None else charge.vat
            times = _kw(charge, peaks, version, day) if isinstance(charge, Power) else Fraction(1)
            key = _Key(_stretch(day, by), way, index, charge.name, 0, "", version.since, vat)
            sums[key].net += Fraction(charge.price) * times * _share(charge.per, day)
    return Cost(_lines(sums), ())


class _Bill:
    """Adds up energy, a quarter of an hour at a time."""

    def __init__(self, tariff: Tariff, prices: Iterable[Price], by: By) -> None:
        self._tariff, self._by = tariff, by
        self._zone = ZoneInfo(tariff.timezone)
        self._prices = _by_quarter(prices, tariff.currency)
        self._uses: dict[tuple[date, Way, int], TimeOfUse] = {}
        self._sums = defaultdict[_Key, _Sum](_Sum)
        self._unbilled: dict[tuple[str, str, int], Fraction] = defaultdict(Fraction)  # why, component, ts

    def of(self, since: date, until: date, intervals: Iterable[Interval]) -> Cost:
        lo, hi = begin_of(since, self._zone), begin_of(until, self._zone)
        for interval in intervals:
            for ts, part in _quarters(interval, lo, hi):
                self._add(ts, interval.imported * part, interval.exported * part)
        return Cost(_lines(self._sums), tuple(_joined(self._unbilled)))

    def _add(self, ts: int, imported: Fraction, exported: Fraction) -> None:
        at = local(ts, self._zone)
        day, quarter = at.date(), at.hour * 4 + at.minute // 15
        version = self._tariff.version_at(day)
        if version is None:
            if imported or exported:
                self._unbilled["no tariff yet", "", ts] += imported + exported
            return
        flows: tuple[tuple[Way, Sequence[Component], Fraction], ...] = (
            ("import", version.bought, imported), ("export", version.export, exported)
        )  # fmt: skip
        for way, components, kwh in flows:
            for index, component in enumerate(components if kwh else ()):
                price, period_number, period = self._price(component, (version.since, way, index), day, quarter, ts)
                if price is None:
                    self._unbilled["no price", component.name, ts] += kwh
                    continue
                key = _Key(
                    _stretch(day, self._by), way, index, component.name, period_number, period, version.since,
                    self._vat(way, component),
                )  # fmt: skip
                self._sums[key].kwh += kwh
                self._sums[key].net += kwh * price if way == "import" else -kwh * price

    def _vat(self, way: Way, component: Component) -> Decimal:
        """Per cent."""
        if component.vat is not None:
            return component.vat
        return self._tariff.vat if way == "import" else Decimal(0)

    def _price(
        self, component: Component, place: tuple[date, Way, int], day: date, quarter: int, ts: int
    ) -> tuple[Fraction | None, int, str]:
        """Per kWh, with the period's number and name; None where the market's is not known."""
        if component.market is not None:
            return _market(component.market, self._prices.get(ts)), 0, ""
        if component.price is not None:
            return Fraction(component.price), 0, ""
        if place not in self._uses:
            self._uses[place] = TimeOfUse(component, self._tariff.holidays)
        index = self._uses[place].period(day, quarter)
        return Fraction(component.periods[index].price), index, component.periods[index].name


def _market(market: Market, price: Fraction | None) -> Fraction | None:
    if price is None:
        return None
    comes_to = price * Fraction(market.factor) + Fraction(market.markup)
    return comes_to if market.floor is None else max(comes_to, Fraction(market.floor))


def _by_quarter(prices: Iterable[Price], currency: str) -> Mapping[int, Fraction]:
    """Per kWh."""
    found: dict[int, Fraction] = {}
    for price in prices:
        if price.currency != currency:
            raise ValueError(f"market prices in {price.currency} do not fit a tariff in {currency}")
        per_kwh = Fraction(price.value) / KWH_PER_MWH
        found.update((ts, per_kwh) for ts in range(price.ts, price.ts + price.minutes * 60_000, QUARTER_MS))
    return found


def _quarters(interval: Interval, lo: int, hi: int) -> Iterator[tuple[int, Fraction]]:
    """Its quarters that lie between `lo` and `hi`, each with its part of the whole."""
    if interval.ts % QUARTER_MS or interval.until % QUARTER_MS or interval.until <= interval.ts:
        raise ValueError(f"{interval.ts} to {interval.until} does not begin and end at quarters of an hour")
    part = Fraction(QUARTER_MS, interval.until - interval.ts)
    for ts in range(max(interval.ts, lo), min(interval.until, hi), QUARTER_MS):
        yield ts, part


def _peaks(tariff: Tariff, zone: ZoneInfo, intervals: Sequence[Interval]) -> dict[tuple[date, int, str], Fraction]:
    """The highest mean power, kW, by version, window and month, of what was drawn."""
    peaks: dict[tuple[date, int, str], Fraction] = defaultdict(Fraction)
    for minutes in {power.window_minutes for version in tariff.versions for power in version.power}:
        window = minutes * 60_000
        energy: dict[int, Fraction] = defaultdict(Fraction)
        for interval in intervals:
            for ts, part in _quarters(interval, interval.ts, interval.until):
                energy[ts // window * window] += interval.imported * part
        for ts, kwh in energy.items():
            day = local(ts, zone).date()
            if (version := tariff.version_at(day)) is not None:
                key = (version.since, minutes, _stretch(day, "month"))
                peaks[key] = max(peaks[key], kwh * 60 / minutes)
    return peaks


def _kw(power: Power, peaks: Mapping[tuple[date, int, str], Fraction], version: Version, day: date) -> Fraction:
    if power.agreed_kw is not None:
        return Fraction(power.agreed_kw)
    return peaks.get((version.since, power.window_minutes, _stretch(day, "month")), Fraction(0))


def _share(per: str, day: date) -> Fraction:
    """What a day bears of what is paid for a day, a month or a year."""
    parts: Mapping[str, Callable[[date], int]] = {"day": lambda _: 1, "month": days_in_month, "year": days_in_year}
    return Fraction(1, parts[per](day))


def _stretch(day: date, by: By) -> str:
    return day.isoformat() if by == "day" else day.isoformat()[:7] if by == "month" else ""


def _lines(sums: Mapping[_Key, _Sum]) -> tuple[Line, ...]:
    order: Mapping[Way, int] = {"import": 0, "power": 1, "fixed": 2, "export": 3}
    made = []
    for key in sorted(sums, key=lambda key: (key.stretch, order[key.way], key.number, key.period_number, key.version)):
        of = sums[key]
        kwh = _rounded(of.kwh) if key.way in ("import", "export") else None
        net, vat = _rounded(of.net), _rounded(of.net * Fraction(key.vat) / 100)
        made.append(Line(key.stretch, key.way, key.component, key.period, key.version, kwh, net, vat))
    return tuple(made)


def _rounded(exact: Fraction) -> Decimal:
    return Decimal(round(exact * PER_UNIT)).scaleb(-6)


def _joined(unbilled: Mapping[tuple[str, str, int], Fraction]) -> Iterator[Unbilled]:
    """Stretches of neighbouring quarters."""
    begin, kwh = 0, Fraction(0)
    ordered = sorted(unbilled)
    for at, (why, component, ts) in enumerate(ordered):
        if not begin:
            begin = ts
        kwh += unbilled[why, component, ts]
        if at + 1 == len(ordered) or ordered[at + 1] != (why, component, ts + QUARTER_MS):
            reason: Literal["no price", "no tariff yet"] = "no price" if why == "no price" else "no tariff yet"
            yield Unbilled(begin, ts + QUARTER_MS, _rounded(kwh), reason, component)
            begin, kwh = 0, Fraction(0)
