"""Poland's RCE, the market price that PSE publishes for each quarter of an hour.

GET /api/rce-pln, OData, `$filter=business_date eq 'YYYY-MM-DD'` -> {"value": [{"dtime_utc": "2024-06-13 22:15:00",
"rce_pln": 876.1, "business_date": "2024-06-14", ...}]}: `dtime_utc` is the end of the quarter, in UTC; the local
`dtime` is of no use on the day with an hour twice ("02a:15:00"). A day has 96 rows, 92 and 100 where the clocks
change, which is the most that one answer has. It is published the day before, at about 14:00; until then the list
is empty. Prices by quarters there are since 2024-06-14.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from gateway.core.cost import Price
from gateway.core.localtime import QUARTER_MS
from sync.hub.prices.asking import Asker, decimal_of, parsed_json
from sync.hub.prices.provider import PriceError

URL = "https://api.raporty.pse.pl/api/rce-pln"
CURRENCY = "PLN"
MINUTES = 15


class Pse:
    """See `Provider`."""

    def __init__(self, asker: Asker, url: str = URL) -> None:
        self._asker = asker
        self._url = url

    @property
    def source(self) -> str:
        return "PSE RCE"

    async def day(self, area: str, day: date) -> Sequence[Price]:
        """See `Provider.day`."""
        text = await self._asker.text(self._url, {"$filter": f"business_date eq '{day.isoformat()}'"})
        answer = parsed_json(text, self.source)
        rows = answer.get("value") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise PriceError(f"{self.source}: the answer has no list `value`")
        return [self._price(row, day) for row in rows]

    def _price(self, row: object, day: date) -> Price:
        if not isinstance(row, dict):
            raise PriceError(f"{self.source}: a row is {str(row)[:40]!r}")
        if row.get("business_date") != day.isoformat():
            raise PriceError(f"{self.source}: asked for {day}, got a row of {str(row.get('business_date'))[:40]!r}")
        try:
            end = datetime.fromisoformat(str(row.get("dtime_utc"))).replace(tzinfo=UTC)
        except ValueError as error:
            raise PriceError(f"{self.source}: dtime_utc is {str(row.get('dtime_utc'))[:40]!r}") from error
        ts = round(end.timestamp() * 1000) - QUARTER_MS
        return Price(ts, MINUTES, decimal_of(row.get("rce_pln"), f"{self.source}: rce_pln"), CURRENCY)
