"""What gives the day-ahead prices of an area, and what a day of them has to be."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

from gateway.core.cost import Price
from gateway.core.errors import HoldfastError
from gateway.core.localtime import DAY, begin_of, local

# Per MWh. Europe's day-ahead markets clear between -500 and 4000 EUR; the rest is for what is raised now and then.
RANGE = {"EUR": (Decimal(-1000), Decimal(10_000)), "PLN": (Decimal(-5000), Decimal(50_000))}
RANGE_ELSE = (Decimal(-500_000), Decimal(5_000_000))  # as of HUF, 400 of which are a EUR
LENGTHS = (15, 30, 60)  # minutes of one price


class PriceError(HoldfastError):
    """Ask again later: a source of prices did not answer, or not sensibly."""


class Provider(Protocol):
    """A source of prices."""

    @property
    def source(self) -> str:
        """Where they are from, for people."""
        ...

    async def day(self, area: str, day: date) -> Sequence[Price]:
        """All prices of a local day, in any order; none while it is not published. Raises PriceError."""
        ...


def whole_day(prices: Sequence[Price], day: date, zone: ZoneInfo) -> list[Price]:
    """The prices by time, where they are all of the local day and nothing else.

    Raises PriceError for half a day, another day, gaps, overlaps, several currencies, and what no market asks.
    """
    ordered = sorted(prices, key=lambda price: price.ts)
    lengths = {price.minutes for price in ordered}
    if len(lengths) != 1 or not lengths <= set(LENGTHS):
        raise PriceError(f"{day}: prices for {sorted(lengths)} minutes", hint="expected all for 15, 30 or 60 minutes")
    step = lengths.pop() * 60_000
    expected = range(begin_of(day, zone), begin_of(day + DAY, zone), step)
    if [price.ts for price in ordered] != list(expected):
        raise PriceError(f"{day}: {_difference([price.ts for price in ordered], expected, zone)}")
    if len({price.currency for price in ordered}) != 1:
        raise PriceError(f"{day}: prices in several currencies")
    least, most = RANGE.get(ordered[0].currency, RANGE_ELSE)
    for price in ordered:
        if not price.value.is_finite() or not least <= price.value <= most:
            at = local(price.ts, zone)
            raise PriceError(f"{at:%Y-%m-%d %H:%M}: {price.value} {price.currency}/MWh is not from {least} to {most}")
    return ordered


def _difference(got: Sequence[int], expected: range, zone: ZoneInfo) -> str:
    """How the times of a day are not those that they should be."""
    outside = [ts for ts in got if not expected.start <= ts < expected.stop]
    if outside:
        return f"a price for {local(outside[0], zone):%Y-%m-%d %H:%M}, which is another day"
    missing = sorted(set(expected) - set(got))
    if missing:
        where = f"{local(missing[0], zone):%H:%M}"
        return f"{len(expected) - len(missing)} of {len(expected)} prices; the first that is missing is that of {where}"
    return f"{len(got)} prices where the day has {len(expected)}"
