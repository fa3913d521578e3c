"""What hub.yaml says of market prices: the areas, and where their prices are from."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from gateway.core.document import Document
from gateway.core.localtime import zone_named

Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^/\s]+", description="http(s)://HOST/...")]
AreaName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,32}\Z", description="1-32 letters, digits, - . _")]


class DocumentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document with a day's prices. In `url` stand {area}, {date}, {next_date}, {begin} and {end} (Unix seconds)."""

    url: Url
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z", description="three letters as EUR")]
    format: Literal["json", "csv"] = "json"
    rows: str = ""  # JSON: where the list of rows is, as data.prices; empty: the document itself
    time: str = "time"  # JSON: where in a row, as delivery.start; CSV: the column
    value: str = "price"
    time_is: Literal["begin", "end"] = "begin"
    time_format: str = ""  # as %d.%m.%Y %H:%M; empty: ISO 8601, or a number since 1970
    minutes: Literal[15, 30, 60] = 60
    unit: Literal["MWh", "kWh"] = "MWh"
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    decimal_comma: bool = False


class AreaConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `prices.areas`: PSE's prices, or those of a `document`."""

    name: AreaName
    provider: Literal["pse", "document"]
    timezone: str = "Europe/Warsaw"  # whose days they are
    published: Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z", description="HH:MM")] = "13:30"
    url: Url | None = None  # of PSE, where it is not the usual one
    document: DocumentConfig | None = None


class PricesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`prices:` of the hub's file."""

    areas: tuple[AreaConfig, ...] = ()
    backfill_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 35  # so many days back what is missing is fetched


def check_prices(config: PricesConfig, parsed: Document) -> None:
    """Raises ConfigError for what the types do not say."""
    names: set[str] = set()
    for index, area in enumerate(config.areas):
        path = ("prices", "areas", index)
        if area.name in names:
            raise parsed.complaint((*path, "name"), f"{area.name} is here twice")
        names.add(area.name)
        try:
            zone_named(area.timezone)
        except ValueError as error:
            raise parsed.complaint((*path, "timezone"), str(error)) from error
        if (area.provider == "document") != (area.document is not None):
            words = "wants document:, which is not there" if area.document is None else "wants no document:"
            raise parsed.complaint(path, f"provider {area.provider} {words}")
        for url in filter(None, (area.url, area.document.url if area.document else None)):
            try:
                urlsplit(url).port  # noqa: B018 - looked at, it raises
            except ValueError as error:
                raise parsed.complaint(path, f"{url} is no address") from error
