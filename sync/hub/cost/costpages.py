"""The page of a site's cost: a month, what it came to, what is missing, the prices of today and tomorrow."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from gateway.core.errors import ConfigError
from gateway.core.localtime import DAY, begin_of, days_in_month, local
from gateway.core.wording import span_text
from sync.hub.cost.costapi import CostApi, CostQuery
from sync.hub.cost.costreport import Gap, NotBilled, Report, ReportError
from sync.hub.cost.pricebars import bars
from sync.hub.cost.tariffs import Assigned, Tariffs
from sync.hub.prices.store import Prices
from sync.hub.web.api import ApiError, Call, Nothing
from sync.hub.web.rights import Place, Role
from sync.hub.web.shell import Page

GAPS_SHOWN = 20
TARIFFS_SHOWN = 200
WAYS = {"import": "bought", "export": "sold", "fixed": "standing", "power": "power"}
TEMPLATE = """name: My tariff
currency: PLN
timezone: Europe/Warsaw
vat: 23
versions:
  - from: 2026-01-01
    import:
      - name: Energy
        periods:
          - {name: night, price: "0.45", when: [{times: ["22:00-06:00"]}, {days: [sat, sun]}]}
          - {name: day, price: "0.80"}
      - {name: Distribution, price: "0.30"}
    export:
      - {name: Sold, market: {factor: "1", floor: "0"}}
    fixed:
      - {name: Subscription, per: month, price: "12.50"}
"""


class CostPageQuery(msgspec.Struct, frozen=True):
    month: Annotated[str, msgspec.Meta(pattern=r"^((19|20)[0-9]{2}-(0[1-9]|1[0-2]))?\Z")] = ""
    device: Annotated[str, msgspec.Meta(max_length=130)] = ""


class CostPages:
    def __init__(self, cost: CostApi, tariffs: Tariffs, prices: Prices, areas: Sequence[str]) -> None:
        self._cost = cost
        self._tariffs = tariffs
        self._prices = prices
        self._areas = areas

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(
                path="/sites/{site}/cost", template="cost.html", right=Role.VIEWER, view=self._view,
                query=CostPageQuery, under="/sites",
            ),
        )  # fmt: skip

    async def _view(self, call: Call[CostPageQuery, Nothing]) -> Mapping[str, object]:
        site = call.place.site
        assigned = await self._tariffs.of_site(site)
        zone = _zone(assigned)
        first = _month(call.query.month, local(call.now, zone).date())
        until = first + DAY * days_in_month(first)
        area = await self._tariffs.area(site)
        view: dict[str, object] = {
            "site": site,
            "month": f"{first:%Y-%m}",
            "title": f"{first:%B %Y}",
            "before": f"{first - DAY:%Y-%m}",
            "after": f"{until:%Y-%m}" if begin_of(until, zone) <= call.now else "",
            "range": f"since={first}&until={until}",
            "area": area,
            "areas": self._areas,
            "bars": await self._bars(area, zone, call.now) if area else [],
            "report": None,
        }
        view |= await self._editing(call, assigned)
        try:
            query = CostQuery(first, until, "month", call.query.device)
            view["report"] = report_view(await self._cost.report(site, query, call.now))
        except (ReportError, ApiError) as error:
            view["trouble"] = str(error)
        return view

    async def _bars(self, area: str, zone: ZoneInfo, now: int) -> list[Mapping[str, object]]:
        today = local(now, zone).date()
        of_days = []
        for name, day in (("today", today), ("tomorrow", today + DAY)):
            lo, hi = begin_of(day, zone), begin_of(day + DAY, zone)
            of_days.append(bars(name, await self._prices.between(area, lo, hi), lo, hi, zone, now))
        return of_days

    async def _editing(self, call: Call[CostPageQuery, Nothing], assigned: Sequence[Assigned]) -> dict[str, object]:
        """What only those see who may change it; and which tariffs hold, for all."""
        place = call.place
        decides = call.caller.may(Role.ADMIN, place)
        writes = call.caller.may(Role.ADMIN, Place(place.organisation))
        known = (
            await self._tariffs.listed(place.organisation, "", TARIFFS_SHOWN) if decides and place.organisation else []
        )
        return {
            "assigned": [{"since": str(one.since), "id": one.id, "name": one.name} for one in assigned],
            "decides": decides,
            "writes": writes,
            "organisation": place.organisation,
            "tariffs": [{"id": one.id, "name": one.name, "text": one.text} for one in known],
            "template": TEMPLATE,
            "rows": TEMPLATE.count("\n") + 3,
        }


def report_view(report: Report) -> dict[str, object]:
    """As strings; pure."""
    zone = ZoneInfo(report.timezone)
    gaps = gap_texts(report.gaps, zone)
    return {
        "cost": money(report.cost, report.currency),
        "income": money(report.income, report.currency),
        "gross": money(report.gross, report.currency),
        "vat": money(report.vat, report.currency),
        "devices": report.devices,
        "lines": [
            {
                "device": line.device or "site",
                "way": WAYS[line.way],
                "what": f"{line.component} · {line.period}" if line.period else line.component,
                "kwh": "" if line.kwh is None else f"{line.kwh:,.3f}",
                "net": f"{line.net:,.2f}",
                "vat": f"{line.vat:,.2f}",
                "gross": f"{line.gross:,.2f}",
            }
            for line in report.lines
        ],
        "gaps": gaps[:GAPS_SHOWN],
        "gaps_more": max(0, len(gaps) - GAPS_SHOWN),
        "not_billed": not_billed_texts(report.not_billed, zone),
    }


def gap_texts(gaps: Sequence[Gap], zone: ZoneInfo) -> list[str]:
    """In words of an owner, a sentence for each time without readings."""
    alike: dict[tuple[str, int, int], list[Gap]] = {}
    for gap in gaps:
        alike.setdefault((gap.device, gap.ts, gap.until), []).append(gap)
    said = []
    for (device, ts, until), of_both in alike.items():
        known = [f"{gap.kwh:,.3f} kWh {WAYS[gap.way]}" for gap in of_both if gap.kwh is not None]
        told = f"{' and '.join(known)} meanwhile, spread evenly over that time" if known else "not billed"
        said.append(f"{device}: no readings for {span_text(until - ts)}, from {local(ts, zone):%d %B %H:%M} on: {told}")
    return said


def not_billed_texts(left: Sequence[NotBilled], zone: ZoneInfo) -> list[str]:
    """A sentence for each reason."""
    alike: dict[tuple[str, str, str], list[NotBilled]] = {}
    for one in left:
        alike.setdefault((one.device, one.why, one.component), []).append(one)
    said = []
    for (device, why, component), of_it in alike.items():
        what = f"{why} for {component}" if component else why
        begin, end = local(of_it[0].ts, zone), local(of_it[-1].until, zone)
        kwh = sum((one.kwh for one in of_it), Decimal(0))
        times = f", {len(of_it)} times" if len(of_it) > 1 else ""
        said.append(f"{device}: {what} from {begin:%d %B %H:%M} to {end:%d %B %H:%M}{times}: {kwh:,.3f} kWh not billed")
    return said


def money(amount: Decimal, currency: str) -> str:
    return f"{amount:,.2f} {currency}"


def _zone(assigned: Sequence[Assigned]) -> ZoneInfo:
    try:
        return ZoneInfo(assigned[0].tariff.timezone) if assigned else ZoneInfo("UTC")
    except ConfigError as error:
        raise ApiError(409, f"the tariff of this site cannot be used: {error.in_full}") from error


def _month(text: str, today: date) -> date:
    return date.fromisoformat(f"{text}-01") if text else today.replace(day=1)
