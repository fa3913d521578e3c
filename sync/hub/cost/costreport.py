"""What a site's energy cost and brought in: its meters' energy under its tariffs, with what is missing told."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from gateway.core.cost import By, Cost, Interval, Price, Unbilled, cost_of_energy, cost_of_standing
from gateway.core.errors import ConfigError
from gateway.core.localtime import begin_of
from gateway.core.metering import Flow, Stretch
from gateway.core.tariff import Tariff
from sync.hub.cost.energy import EnergySource, Flows, Meter
from sync.hub.cost.tariffs import Tariffs
from sync.hub.prices.store import Prices

NONE = Fraction(0)


class ReportError(Exception):
    """A report that cannot be made, and what to do."""


class ReportLine(msgspec.Struct, frozen=True):
    """Amounts in the report's currency: what is paid; income is below 0. device empty: of the whole site."""

    stretch: str
    device: str
    way: Literal["import", "export", "fixed", "power"]
    component: str
    period: str
    tariff: str
    prices_since: date
    kwh: Decimal | None
    net: Decimal
    vat: Decimal
    gross: Decimal


class Gap(msgspec.Struct, frozen=True):
    """No readings of a device; kwh: what its counter counted meanwhile, spread evenly; None: not known, not billed."""

    device: str
    way: Literal["import", "export"]
    ts: int
    until: int
    kwh: Decimal | None


class NotBilled(msgspec.Struct, frozen=True):
    """Energy for which a component has no price."""

    device: str
    ts: int
    until: int
    kwh: Decimal
    component: str
    why: str


class Report(msgspec.Struct, frozen=True):
    """Totals are the sums of the lines: cost of what is paid, income of what is sold, and both together."""

    site: str
    currency: str
    timezone: str
    since: date
    until: date
    by: By
    area: str
    devices: tuple[str, ...]
    lines: tuple[ReportLine, ...]
    cost: Decimal
    income: Decimal
    net: Decimal
    vat: Decimal
    gross: Decimal
    gaps: tuple[Gap, ...]
    not_billed: tuple[NotBilled, ...]


class CostReports:
    def __init__(self, energy: EnergySource, tariffs: Tariffs, prices: Prices) -> None:
        self._energy = energy
        self._tariffs = tariffs
        self._prices = prices

    async def report(self, site: str, since: date, until: date, by: By, device: str, now: int) -> Report:
        """Of the local days since <= day < until, up to now. Raises ReportError, StorageError."""
        assigned = await self._tariffs.of_site(site)
        if not assigned:
            raise ReportError("this site has no tariff; assign one to it, from the day on which it holds")
        try:
            tariffs = [(one.since, one.tariff) for one in assigned]
        except ConfigError as error:
            raise ReportError(f"the tariff cannot be used: {error.in_full}") from error
        first = tariffs[0][1]
        zone = ZoneInfo(first.timezone)
        lo, hi = begin_of(since, zone), begin_of(until, zone)
        meters = named(await self._energy.meters(site))
        wanted = {name: meter for name, meter in meters.items() if device in ("", name)}
        if not wanted:
            raise ReportError(_no_meter(device, meters))
        up_to = max(lo, min(hi, now // 900_000 * 900_000))
        flows = (
            {name: await self._energy.flows(meter, lo, up_to) for name, meter in wanted.items()} if up_to > lo else {}
        )
        area = await self._tariffs.area(site)
        prices = [kept.price for kept in await self._prices.between(area, lo, hi)] if area else []
        try:
            lines, not_billed = await asyncio.to_thread(_billed, tariffs, flows, prices, since, until, by, not device)
        except ValueError as error:  # prices in another currency
            raise ReportError(f"{error}; give the site another price area, or another tariff") from error
        return Report(
            site=site, currency=first.currency, timezone=first.timezone, since=since, until=until, by=by, area=area,
            devices=tuple(wanted), lines=tuple(lines),
            cost=_sum(line.gross for line in lines if line.way != "export"),
            income=-_sum(line.gross for line in lines if line.way == "export"),
            net=_sum(line.net for line in lines), vat=_sum(line.vat for line in lines),
            gross=_sum(line.gross for line in lines),
            gaps=tuple(gap for name, flow in flows.items() for gap in gaps_of(name, flow)),
            not_billed=tuple(not_billed),
        )  # fmt: skip


def named(meters: Sequence[Meter]) -> dict[str, Meter]:
    """By the device's name; where two nodes have one of that name, as node/device."""
    devices = [meter.device for meter in meters]
    return {m.device if devices.count(m.device) == 1 else f"{m.node}/{m.device}": m for m in meters}


def _no_meter(device: str, meters: dict[str, Meter]) -> str:
    if device and meters:
        return f"no meter {device} at this site; there are {', '.join(meters)}"
    return "no device of this site counts energy; a meter of the role grid does"


def _billed(
    tariffs: Sequence[tuple[date, Tariff]], flows: dict[str, Flows], prices: Sequence[Price],
    since: date, until: date, by: By, is_whole: bool,
) -> tuple[list[ReportLine], list[NotBilled]]:  # fmt: skip
    """By device, then what the site pays standing, where the report is of the whole site."""
    lines: list[ReportLine] = []
    not_billed: list[NotBilled] = []
    of_device = {name: intervals_of(flow) for name, flow in flows.items()}
    for at, (begins, tariff) in enumerate(tariffs):
        ends = tariffs[at + 1][0] if at + 1 < len(tariffs) else until
        first = since if at == 0 else max(since, begins)  # before the first one: told as having no tariff yet
        last = min(until, ends)
        if first >= last:
            continue
        held = tariff if at or since >= begins else _from(tariff, begins)
        asked = prices if has_market(held) else ()
        for name, intervals in of_device.items():
            cost = cost_of_energy(held, first, last, intervals, asked, by)
            lines += _lines(cost, name, tariff.name)
            not_billed += (_told(name, gap) for gap in cost.unbilled)
        if is_whole:
            every = [interval for intervals in of_device.values() for interval in intervals]
            lines += _lines(cost_of_standing(held, first, last, every, by), "", tariff.name)
    return lines, not_billed


def has_market(tariff: Tariff) -> bool:
    """Whether anything of it is paid by the market's price."""
    return any(part.market for version in tariff.versions for part in (*version.bought, *version.export))


def _from(tariff: Tariff, begins: date) -> Tariff:
    """The tariff, holding nothing before the day on which the site had it."""
    at = tariff.version_at(begins)
    later = [version for version in tariff.versions if version.since > begins]
    versions = [*([msgspec.structs.replace(at, since=begins)] if at else []), *later]
    return msgspec.structs.replace(tariff, versions=tuple(versions))


def intervals_of(flows: Flows) -> list[Interval]:
    """What is billed: the steps, and what is known of the gaps, even over each."""
    bought = [Interval(s.ts, s.until, s.kwh, NONE) for s in (*flows.bought.steps, *flows.bought.gaps) if s.kwh]
    sold = [Interval(s.ts, s.until, NONE, s.kwh) for s in (*flows.sold.steps, *flows.sold.gaps) if s.kwh]
    return bought + sold


def gaps_of(device: str, flows: Flows) -> list[Gap]:
    """By time."""
    both: tuple[tuple[Literal["import", "export"], Flow], ...] = (("import", flows.bought), ("export", flows.sold))
    found = [Gap(device, way, gap.ts, gap.until, _kwh(gap)) for way, flow in both for gap in flow.gaps]
    return sorted(found, key=lambda gap: gap.ts)


def _kwh(gap: Stretch) -> Decimal | None:
    return None if gap.kwh is None else Decimal(round(gap.kwh * 1000)).scaleb(-3)


def _lines(cost: Cost, device: str, tariff: str) -> list[ReportLine]:
    return [
        ReportLine(
            line.stretch, device, line.way, line.component, line.period, tariff, line.version, line.kwh,
            line.net, line.vat, line.gross,
        )
        for line in cost.lines
    ]  # fmt: skip


def _told(device: str, gap: Unbilled) -> NotBilled:
    return NotBilled(device, gap.ts, gap.until, gap.kwh, gap.component, gap.why)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
