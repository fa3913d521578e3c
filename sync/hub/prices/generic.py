"""Prices of any service that answers one GET with JSON or CSV, as the hub's settings describe it."""

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from gateway.core.cost import Price
from gateway.core.localtime import DAY, begin_of
from sync.hub.prices.asking import Asker, decimal_of, parsed_json
from sync.hub.prices.provider import PriceError
from sync.hub.prices.settings import DocumentConfig

ROWS_MAX = 2000
SECONDS_BELOW = 10**11  # a number of seconds since 1970; what is more is milliseconds
TO_MWH = {"MWh": Decimal(1), "kWh": Decimal(1000)}


class Generic:
    """See `Provider`."""

    def __init__(self, asker: Asker, config: DocumentConfig, zone: ZoneInfo) -> None:
        self._asker = asker
        self._config = config
        self._zone = zone
        self._host = urlsplit(config.url).hostname or config.url

    @property
    def source(self) -> str:
        return self._host

    async def day(self, area: str, day: date) -> Sequence[Price]:
        """See `Provider.day`; of a document with more than the day, those of the day."""
        text = await self._asker.text(self._url(area, day))
        lo, hi = begin_of(day, self._zone), begin_of(day + DAY, self._zone)
        return [price for price in self._prices(text) if lo <= price.ts < hi]

    def _url(self, area: str, day: date) -> str:
        lo, hi = begin_of(day, self._zone) // 1000, begin_of(day + DAY, self._zone) // 1000
        filled = {
            "{area}": quote(area, safe=""), "{date}": day.isoformat(), "{next_date}": (day + DAY).isoformat(),
            "{begin}": str(lo), "{end}": str(hi),
        }  # fmt: skip
        url = self._config.url
        for name, value in filled.items():
            url = url.replace(name, value)
        return url

    def _prices(self, text: str) -> Iterator[Price]:
        config, before = self._config, None
        scale = TO_MWH[config.unit]
        rows = list(_csv_rows(text, config) if config.format == "csv" else _json_rows(text, config, self.source))
        if len(rows) > ROWS_MAX:
            raise PriceError(f"{self.source}: {len(rows)} rows, where a day has 100 at most")
        for number, (when, value) in enumerate(rows):
            where = f"{self.source}: row {number + 1}"
            before = ts = self._ts(when, before, where)
            begin = ts - config.minutes * 60_000 if config.time_is == "end" else ts
            exact = decimal_of(value, where, comma=config.decimal_comma) * scale
            yield Price(begin, config.minutes, exact, config.currency)

    def _ts(self, when: object, before: int | None, where: str) -> int:
        """A number of seconds or milliseconds, or ISO 8601; without an offset it is local.

        Of an hour that comes twice, the second is what is not after the row before.
        """
        text = str(when).strip()
        if text.isascii() and text.isdecimal() and len(text) <= 14:
            number = int(text)
            return number * 1000 if number < SECONDS_BELOW else number
        try:
            return self._instant(text, before)
        except (ValueError, OverflowError) as error:
            raise PriceError(f"{where}: {text[:40]!r} is no time") from error

    def _instant(self, text: str, before: int | None) -> int:
        form = self._config.time_format
        at = datetime.strptime(text, form) if form else datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return round(at.astimezone(UTC).timestamp() * 1000)
        first = round(at.replace(tzinfo=self._zone).timestamp() * 1000)
        if before is not None and first <= before:
            return round(at.replace(tzinfo=self._zone, fold=1).timestamp() * 1000)
        return first


def _csv_rows(text: str, config: DocumentConfig) -> Iterator[tuple[object, object]]:
    """Time and value of each row, by the names in the first line."""
    try:
        for row in csv.DictReader(StringIO(text), delimiter=config.delimiter):
            if config.time not in row or config.value not in row:
                raise PriceError(f"the document has no columns {config.time} and {config.value}")
            yield row[config.time], row[config.value]
    except csv.Error as error:
        raise PriceError(f"not CSV: {error}") from error


def _json_rows(text: str, config: DocumentConfig, source: str) -> Iterator[tuple[object, object]]:
    """Time and value of each row; or of two lists side by side, where `rows` is empty and both are lists."""
    document = parsed_json(text, source)
    rows = _at(document, config.rows, source)
    if isinstance(rows, list):
        for row in rows:
            yield _at(row, config.time, source), _at(row, config.value, source)
        return
    times, values = _at(rows, config.time, source), _at(rows, config.value, source)
    if not isinstance(times, list) or not isinstance(values, list) or len(times) != len(values):
        raise PriceError(f"{source}: {config.rows or 'the document'} is no list, and has no two lists of one length")
    yield from zip(times, values, strict=True)


def _at(document: Any, path: str, source: str) -> Any:
    """What stands at `a.b.0.c`. Raises PriceError."""
    found = document
    for step in path.split(".") if path else []:
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (LookupError, TypeError, ValueError) as error:
            raise PriceError(f"{source}: nothing at {path}") from error
    return found
