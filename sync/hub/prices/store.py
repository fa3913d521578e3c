"""Market prices in the hub's database: a day of an area is there whole, or not at all."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from gateway.core.cost import Price
from sync.hub.store.sql import Sql

LONGEST_MS = 3_600_000  # of one price
CLEAR = "DELETE FROM price WHERE area = $1 AND ts >= $2 AND ts < $3"
PUT = "INSERT INTO price (area, ts, minutes, value, currency, fetched, source) VALUES ($1, $2, $3, $4, $5, $6, $7)"
# By time; one that began before `since` may reach into it.
PRICES = """SELECT ts, minutes, value, currency, fetched, source FROM price
    WHERE area = $1 AND ts > $2 AND ts < $3 ORDER BY ts LIMIT $4"""
TIMES = "SELECT ts, minutes FROM price WHERE area = $1 AND ts >= $2 AND ts < $3"


class KeptPrice(msgspec.Struct, frozen=True):
    """With when it was fetched, milliseconds since 1970 UTC, and from where."""

    price: Price
    fetched: int
    source: str


class Prices:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def replace(
        self, area: str, since: int, until: int, prices: Sequence[Price], fetched: int, source: str
    ) -> None:
        """These are all that there are from `since` to `until`, milliseconds since 1970 UTC."""
        async with self._sql.transaction() as db:
            await db.execute(CLEAR, area, since, until)
            for price in prices:
                value = format(price.value, "f")
                await db.execute(PUT, area, price.ts, price.minutes, value, price.currency, fetched, source)

    async def between(self, area: str, since: int, until: int, most: int = 100_000) -> list[KeptPrice]:
        """Those that hold at some time of since <= ts < until, by time."""
        rows = await self._sql.fetch(PRICES, area, since - LONGEST_MS, until, most)
        return [
            KeptPrice(Price(ts, minutes, Decimal(value), currency), fetched, source)
            for ts, minutes, value, currency, fetched, source in rows
            if ts + minutes * 60_000 > since
        ]

    async def minutes(self, area: str, since: int, until: int) -> list[tuple[int, int]]:
        """(ts, minutes) of what is held."""
        return [(ts, minutes) for ts, minutes in await self._sql.fetch(TIMES, area, since, until)]
