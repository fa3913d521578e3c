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
from sync.hub.api import ApiError, Call, Nothing
from sync.hub.costapi import CostApi, CostQuery
from sync.hub.costreport import Gap, NotBilled, Report, ReportError
from sync.hub.pricebars import bars
from sync.hub.prices.store import Prices
from sync.hub.rights import Place, Role
from sync.hub.shell import Page
from sync.hub.tariffapi import TariffApi
from sync.hub.tariffs import Assigned, Tariffs

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
    def __init__(
        self, cost: CostApi, tariff_api: TariffApi, tariffs: Tariffs, prices: Prices, areas: Sequence[str]
    ) -> None:
        self._cost = cost
        self._tariff_api = tariff_api
        self._tariffs = tariffs
        self._prices = prices
        self._areas = areas

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(
                path="/sites/{site}/cost", template="cost.html", right=Role.VIEWER, view=self._view,
                query=CostPageQuery,
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
        "gaps": [gap_text(gap, zone) for gap in report.gaps[:GAPS_SHOWN]],
        "gaps_more": max(0, len(report.gaps) - GAPS_SHOWN),
        "not_billed": [not_billed_text(left, zone) for left in report.not_billed[:GAPS_SHOWN]],
        "not_billed_more": max(0, len(report.not_billed) - GAPS_SHOWN),
    }


def gap_text(gap: Gap, zone: ZoneInfo) -> str:
    """In words of an owner."""
    time = f"{gap.device}: no readings of {WAYS[gap.way]} energy for {span_text(gap.until - gap.ts)}"
    begin = f"from {local(gap.ts, zone):%d %B %H:%M}"
    if gap.kwh is None:
        return f"{time}, {begin}: not billed"
    return f"{time}, {begin}: {gap.kwh:,.3f} kWh counted meanwhile, spread evenly over that time"


def not_billed_text(left: NotBilled, zone: ZoneInfo) -> str:
    what = f" for {left.component}" if left.component else ""
    begin, end = local(left.ts, zone), local(left.until, zone)
    return (
        f"{left.device}: {left.why}{what} from {begin:%d %B %H:%M} to {end:%d %B %H:%M}: {left.kwh:,.3f} kWh not billed"
    )


def money(amount: Decimal, currency: str) -> str:
    return f"{amount:,.2f} {currency}"


def _zone(assigned: Sequence[Assigned]) -> ZoneInfo:
    try:
        return ZoneInfo(assigned[0].tariff.timezone) if assigned else ZoneInfo("UTC")
    except ConfigError as error:
        raise ApiError(409, f"the tariff of this site cannot be used: {error.in_full}") from error


def _month(text: str, today: date) -> date:
    return date.fromisoformat(f"{text}-01") if text else today.replace(day=1)
