"""A service of prices on this machine, that answers as the real ones do, and as they sometimes do."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.core.localtime import DAY, QUARTER_MS, begin_of

WARSAW = ZoneInfo("Europe/Warsaw")
Rows = list[dict[str, object]]


def pse_rows(day: date) -> Rows:
    """A day as PSE gives it, 100.00 in the first quarter and one more in each that follows."""
    rows: Rows = []
    for n, ts in enumerate(range(begin_of(day, WARSAW), begin_of(day + DAY, WARSAW), QUARTER_MS)):
        end = datetime.fromtimestamp((ts + QUARTER_MS) / 1000, UTC)
        there = end.astimezone(WARSAW)
        rows.append({
            "dtime": f"{there:%Y-%m-%d %H:%M:%S}", "period": f"{there:%H:%M}", "rce_pln": 100.0 + n,
            "dtime_utc": f"{end:%Y-%m-%d %H:%M:%S}", "business_date": day.isoformat(),
            "publication_ts": f"{day - DAY} 14:03:11.123",
        })  # fmt: skip
    return rows


class Source:
    """`answer` is given the day that was asked for; `asked` keeps them."""

    def __init__(self) -> None:
        self.asked: list[date] = []
        self.answer: Callable[[date], web.StreamResponse] = lambda day: web.json_response({"value": pse_rows(day)})
        app = web.Application()
        app.router.add_get("/rce-pln", self._pse)
        app.router.add_get("/prices/{day}", self._day)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/rce-pln"))

    async def _pse(self, request: web.Request) -> web.StreamResponse:
        words = request.query["$filter"].split("'")
        assert words[0] == "business_date eq ", words
        return self._answered(words[1])

    async def _day(self, request: web.Request) -> web.StreamResponse:
        return self._answered(request.match_info["day"])

    def _answered(self, day: str) -> web.StreamResponse:
        self.asked.append(date.fromisoformat(day))
        return self.answer(self.asked[-1])


@asynccontextmanager
async def source() -> AsyncIterator[Source]:
    it = Source()
    await it.server.start_server()
    try:
        yield it
    finally:
        await it.server.close()
