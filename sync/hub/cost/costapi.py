"""GET /api/v1/sites/{site}/cost: what a site's energy cost and brought in, as JSON and as CSV."""

import csv
from collections.abc import Sequence
from datetime import UTC, date, datetime
from io import StringIO
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from gateway.core.cost import By
from gateway.core.formulas import harmless
from sync.hub.cost.costreport import CostReports, Report, ReportError
from sync.hub.web.api import ApiError, Call, Nothing, Route
from sync.hub.web.rights import Role

DAYS_MAX = 400
COLUMNS = (
    "stretch", "device", "way", "component", "period", "tariff", "prices_since", "kwh", "net", "vat", "gross",
)  # fmt: skip


class CostQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Local days of the tariff, `until` not included; device empty: all, and what the site pays standing."""

    since: date
    until: date
    by: By = "month"
    device: Annotated[str, msgspec.Meta(max_length=130)] = ""
    format: Literal["json", "csv"] = "json"


class CostApi:
    def __init__(self, reports: CostReports) -> None:
        self._reports = reports

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/sites/{site}/cost",
                summary="Cost and income of a site by device and period; format=csv for a table",
                right=Role.VIEWER, handle=self._cost, query=CostQuery, body=Nothing, answer=Report,
                media="application/json, text/csv",
            ),
        )  # fmt: skip

    async def _cost(self, call: Call[CostQuery, Nothing]) -> Report | web.Response:
        query = call.query
        try:
            report = await self.report(call.place.site, query, call.now)
        except ReportError as error:
            raise ApiError(409, str(error)) from error
        return csv_of(report) if query.format == "csv" else report

    async def report(self, site: str, query: CostQuery, now: int) -> Report:
        """Raises ApiError, ReportError, StorageError."""
        days = (query.until - query.since).days
        if not 0 < days <= DAYS_MAX or not 1990 <= query.since.year < 2100:
            raise ApiError(400, f"since and until: expected 1 to {DAYS_MAX} days, got {query.since} to {query.until}")
        return await self._reports.report(site, query.since, query.until, query.by, query.device, now)


def csv_of(report: Report) -> web.Response:
    """Lines, then gaps and what is not billed as lines of their own way, with words where the component stands."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow((*COLUMNS, "currency"))
    for line in report.lines:
        cells = [_cell(getattr(line, name)) for name in COLUMNS]
        table.writerow((*cells, report.currency))
    for gap in report.gaps:
        way = "not billed" if gap.kwh is None else "spread evenly"
        words = f"no readings of {gap.way} from {_iso(gap.ts)} to {_iso(gap.until)}: {way}"
        table.writerow(("", _cell(gap.device), "gap", words, "", "", "", _cell(gap.kwh), "", "", "", ""))
    for left in report.not_billed:
        words = f"{left.why} from {_iso(left.ts)} to {_iso(left.until)}: not billed"
        told = (_cell(left.device), "not billed", words, _cell(left.component))
        table.writerow(("", *told, "", "", _cell(left.kwh), "", "", "", ""))
    name = f"cost-{report.since}-{report.until}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return web.Response(text=text.getvalue(), content_type="text/csv", charset="utf-8", headers=headers)


def _cell(value: object) -> str:
    return harmless(value) if isinstance(value, str) else "" if value is None else str(value)


def _iso(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1000, UTC):%Y-%m-%dT%H:%MZ}"
