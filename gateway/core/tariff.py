"""A tariff as it is agreed: what energy, power and time cost, from when on; values alone.

Prices are net, in the tariff's currency; energy by kWh, power by kW. `timeofuse.py` says when a period is,
`cost.py` what it comes to, `tariffcheck.py` what is wrong with one.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f]{1,64}\Z", description="1-64 characters")]
DayName = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"]
Times = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([01][0-9]|2[0-3]):(00|15|30|45)-(([01][0-9]|2[0-3]):(00|15|30|45)|24:00)\Z",
        description="local times as 22:00-06:00, at whole quarters of an hour",
    ),
]
Season = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\.\.(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z",
        description="first and last day as 10-01..03-31 (month-day)",
    ),
]

FEW, MANY = msgspec.Meta(max_length=24), msgspec.Meta(max_length=1000)


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that are given have to hold; an empty one always does. A day of the holiday list is no other day."""

    days: Annotated[tuple[DayName, ...], FEW] = ()
    times: Annotated[tuple[Times, ...], FEW] = ()  # by the clock on the wall; the hour that comes twice counts twice
    seasons: Annotated[tuple[Season, ...], FEW] = ()


class Period(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One price of a component; `when`: any of these; without it: whenever no other period is."""

    name: Text
    price: Decimal  # per kWh
    when: Annotated[tuple[When, ...], FEW] = ()


class Market(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The day-ahead price per kWh, times `factor`, plus `markup`; never less than `floor`."""

    factor: Decimal = Decimal(1)
    markup: Decimal = Decimal(0)
    floor: Decimal | None = None


class Component(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is paid for a kWh: one `price` always, `periods` by time of use, or the `market`'s price."""

    name: Text
    price: Decimal | None = None
    periods: Annotated[tuple[Period, ...], FEW] = ()
    market: Market | None = None
    vat: Decimal | None = None  # per cent; else the tariff's, and for what is sold none


class Fixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is paid whether energy flows or not; of a month or a year, each day bears its share."""

    name: Text
    per: Literal["day", "month", "year"]
    price: Decimal
    vat: Decimal | None = None


class Power(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is paid for a kW: of the power that was agreed, or of the highest mean of a window in the month."""

    name: Text
    per: Literal["day", "month", "year"]
    price: Decimal  # per kW
    agreed_kw: Decimal | None = None
    window_minutes: Literal[15, 30, 60] = 15
    vat: Decimal | None = None


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "bought": "import"}):
    """What holds from the local day `from` on, until the next version begins; `import`: bought, `export`: sold."""

    since: date
    bought: Annotated[tuple[Component, ...], FEW]
    export: Annotated[tuple[Component, ...], FEW] = ()
    fixed: Annotated[tuple[Fixed, ...], FEW] = ()
    power: Annotated[tuple[Power, ...], FEW] = ()


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole agreement; its days, months and times are those of `timezone`."""

    name: Text
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z", description="three letters as EUR")]
    timezone: str
    versions: Annotated[tuple[Version, ...], msgspec.Meta(min_length=1, max_length=100)]
    vat: Decimal = Decimal(0)  # per cent
    holidays: Annotated[tuple[date, ...], MANY] = ()

    def version_at(self, day: date) -> Version | None:
        """The one that holds on a local day; None before the first."""
        return next((version for version in reversed(self.versions) if version.since <= day), None)
