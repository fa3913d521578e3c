"""What is wrong with a tariff, each mistake with its place and what to do; pure."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from gateway.core import document
from gateway.core.document import Document, Path
from gateway.core.errors import ConfigError
from gateway.core.localtime import zone_named
from gateway.core.tariff import Component, Fixed, Market, Power, Tariff, Version
from gateway.core.timeofuse import TimeOfUse

PRICE_MAX = Decimal(1_000_000)  # of any unit
PLACES = 9  # digits after the point of a price

_Found = tuple[Path, str, str]  # where, what is wrong, what to do


def parse_tariff(text: str, source: str = "tariff") -> Tariff:
    """A tariff of YAML or JSON. Raises ConfigError, the first of `mistakes`."""
    parsed = document.parse(text, source)
    tariff = document.convert(parsed, Tariff)
    for path, words, hint in _wrong(tariff):
        raise parsed.complaint(path, words, hint=hint)
    return tariff


def mistakes(text: str, source: str = "tariff") -> list[ConfigError]:
    """All that is wrong with the text of a tariff; of one with a wrong form, nothing of its content."""
    try:
        parsed: Document = document.parse(text, source)
    except ConfigError as error:
        return [error]
    form = list(document.mistakes(parsed, Tariff))
    if form:
        return form
    return [parsed.complaint(*found[:2], hint=found[2]) for found in _wrong(document.convert(parsed, Tariff))]


def _wrong(tariff: Tariff) -> Iterator[_Found]:
    try:
        zone_named(tariff.timezone)
    except ValueError as error:
        yield ("timezone",), str(error), "name a zone of the IANA list"
    yield from _wrong_number(("vat",), tariff.vat, least=Decimal(0), most=Decimal(100))
    for index, day in enumerate(tariff.holidays):
        if day in tariff.holidays[:index]:
            yield ("holidays", index), f"{day} is here twice", "remove one"
    dates = [version.since for version in tariff.versions]
    for index, since in enumerate(dates[1:], 1):
        if since <= dates[index - 1]:
            words = f"{since} is not after {dates[index - 1]}, where the version before begins"
            yield ("versions", index, "from"), words, "put versions in the order of their dates, each with its own"
    for index, version in enumerate(tariff.versions):
        yield from _wrong_version(("versions", index), version, tariff.holidays)


def _wrong_version(path: Path, version: Version, holidays: Sequence[date]) -> Iterator[_Found]:
    for key, components in (("import", version.bought), ("export", version.export)):
        yield from _twice((*path, key), [component.name for component in components])
        for index, component in enumerate(components):
            yield from _wrong_component((*path, key, index), component, holidays)
    standing: tuple[tuple[str, Sequence[Fixed | Power]], ...] = (("fixed", version.fixed), ("power", version.power))
    for key, charges in standing:
        yield from _twice((*path, key), [charge.name for charge in charges])
        for index, charge in enumerate(charges):
            yield from _wrong_number((*path, key, index, "price"), charge.price)
            yield from _wrong_vat((*path, key, index), charge.vat)
            if isinstance(charge, Power):
                yield from _wrong_number((*path, key, index, "agreed_kw"), charge.agreed_kw, least=Decimal(0))


def _wrong_component(path: Path, component: Component, holidays: Sequence[date]) -> Iterator[_Found]:
    ways = [component.price is not None, bool(component.periods), component.market is not None]
    if sum(ways) != 1:
        words = f"{component.name} has {sum(ways)} of price, periods and market"
        yield path, words, "give exactly one of them"
        return
    yield from _wrong_number((*path, "price"), component.price)
    yield from _wrong_vat(path, component.vat)
    if component.market is not None:
        yield from _wrong_market((*path, "market"), component.market)
    yield from _twice((*path, "periods"), [period.name for period in component.periods])
    for index, period in enumerate(component.periods):
        yield from _wrong_number((*path, "periods", index, "price"), period.price)
        for at, when in enumerate(period.when):
            for season in when.seasons:
                if any(not _is_day(text) for text in season.split("..")):
                    where = (*path, "periods", index, "when", at, "seasons")
                    yield where, f"{season} has a day that is none", "give month-day, as 02-28"
    yield from _wrong_times((*path, "periods"), component, holidays)


def _wrong_times(path: Path, component: Component, holidays: Sequence[date]) -> Iterator[_Found]:
    """Gaps, overlaps, and more than one period for the rest."""
    rests = [index for index, period in enumerate(component.periods) if not period.when]
    for index in rests[1:]:
        words = f"{component.periods[index].name} has no `when`, and {component.periods[rests[0]].name} has none, too"
        yield (*path, index), words, "only one period can be the rest; say when the other is"
    for clash in TimeOfUse(component, holidays).clashes() if component.periods else ():
        names = [component.periods[index].name for index in clash.periods]
        if names:
            words, hint = f"{clash.words} belongs to {' and '.join(names)}", "leave it in one of them"
            yield (*path, clash.periods[1]), words, hint
        else:
            hint = "add it to a period, or leave out one period's `when` to make it the rest"
            yield path, f"{clash.words} belongs to no period of {component.name}", hint
        return  # one tells enough: the others are mostly the same one on other days


def _wrong_market(path: Path, market: Market) -> Iterator[_Found]:
    for key in ("factor", "markup", "floor"):
        yield from _wrong_number((*path, key), getattr(market, key))


def _wrong_vat(path: Path, vat: Decimal | None) -> Iterator[_Found]:
    return _wrong_number((*path, "vat"), vat, least=Decimal(0), most=Decimal(100))


def _wrong_number(
    path: Path, number: Decimal | None, least: Decimal = -PRICE_MAX, most: Decimal = PRICE_MAX
) -> Iterator[_Found]:
    if number is None:
        return
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or not least <= number <= most:
        yield path, f"expected a number from {least} to {most}, got {number}", "correct it"
    elif exponent < -PLACES:
        yield path, f"{number} has more than {PLACES} digits after the point", "round it"


def _twice(path: Path, names: Sequence[str]) -> Iterator[_Found]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (*path, index), f"{name} is here twice", "give each its own name"


def _is_day(text: str) -> bool:
    try:
        date(2000, int(text[:2]), int(text[3:]))
    except ValueError:
        return False
    return True
