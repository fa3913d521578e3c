"""Which period of a component a quarter of an hour belongs to; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import get_args

from gateway.core.tariff import Component, DayName, When

QUARTERS = 96  # of a day on the wall clock
DAY_NAMES: tuple[DayName, ...] = get_args(DayName)
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Clash:
    """A stretch of a kind of day that belongs to no period, or to two."""

    periods: tuple[int, ...]  # those that claim it
    words: str  # when it is


class TimeOfUse:
    """`holidays`: days that count as no weekday."""

    def __init__(self, component: Component, holidays: Sequence[date]) -> None:
        self._periods = component.periods
        self._holidays = frozenset(holidays)
        self._rest = next((n for n, period in enumerate(self._periods) if not period.when), NOBODY)
        self._tables: dict[tuple[int, str], tuple[int, ...]] = {}

    def period(self, day: date, quarter: int) -> int:
        """The index of the period on a local day, `quarter` from 0 to 95 by the wall clock; NOBODY for a gap."""
        name = "holiday" if day in self._holidays else DAY_NAMES[day.weekday()]
        key = (_month_day(day), name)
        if key not in self._tables:
            self._tables[key] = tuple((*claims, self._rest)[0] for claims in self._claims(*key))
        return self._tables[key][quarter]

    def clashes(self) -> Iterator[Clash]:
        """Every kind of day with a gap or an overlap, the first stretch of each."""
        kinds = DAY_NAMES if self._holidays else DAY_NAMES[:-1]
        for season in self._season_starts():
            for name in kinds:
                claims = self._claims(season, name)
                wrong = [n for n, of in enumerate(claims) if len(of) > 1 or (not of and self._rest == NOBODY)]
                if wrong:
                    end = next((n for n in range(wrong[0], QUARTERS) if claims[n] != claims[wrong[0]]), QUARTERS)
                    from_day = f", from {season // 100:02}-{season % 100:02} on" if season != 101 else ""
                    words = f"{name} {_clock(wrong[0])}-{_clock(end)}{from_day}"
                    yield Clash(claims[wrong[0]], words)

    def _claims(self, month_day: int, name: str) -> list[tuple[int, ...]]:
        """Of each quarter the periods that name it."""
        claims: list[tuple[int, ...]] = [()] * QUARTERS
        for index, period in enumerate(self._periods):
            named = {q for when in period.when if _holds(when, month_day, name) for q in _quarters(when)}
            for quarter in named:
                claims[quarter] += (index,)
        return claims

    def _season_starts(self) -> list[int]:
        """The days on which what holds may change, as month * 100 + day."""
        starts = {101}
        for period in self._periods:
            for when in period.when:
                for first, last in map(_season, when.seasons):
                    starts |= {first, _after(last)}
        return sorted(starts)


def _holds(when: When, month_day: int, name: str) -> bool:
    if when.days and name not in when.days:
        return False
    return not when.seasons or any(
        first <= month_day <= last if first <= last else month_day >= first or month_day <= last
        for first, last in map(_season, when.seasons)
    )


def _quarters(when: When) -> Iterator[int]:
    if not when.times:
        yield from range(QUARTERS)
    for times in when.times:
        begin, end = (int(text[:2]) * 4 + int(text[3:]) // 15 for text in times.split("-"))
        yield from range(begin, end) if begin < end else (*range(begin, QUARTERS), *range(end))


def _season(text: str) -> tuple[int, int]:
    first, last = (int(day[:2]) * 100 + int(day[3:]) for day in text.split(".."))
    return first, last


def _month_day(day: date) -> int:
    return day.month * 100 + day.day


def _after(month_day: int) -> int:
    """The next day; of a month's last day, that of 31 days at most, the first of the next."""
    if month_day == 228:
        return 229
    try:
        return _month_day(date(2000, month_day // 100, month_day % 100) + timedelta(days=1))
    except ValueError:  # 02-30, 04-31: seen when the tariff is checked
        return month_day // 100 % 12 * 100 + 101


def _clock(quarter: int) -> str:
    return f"{quarter // 4:02}:{quarter % 4 * 15:02}"
