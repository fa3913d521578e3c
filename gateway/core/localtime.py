"""Days, months and years as the clocks on the wall have them; pure. Instants are milliseconds since 1970 UTC."""

import calendar
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

QUARTER_MS = 900_000  # all zones are whole quarters of an hour off, before and after each change of theirs
DAY = timedelta(days=1)


def zone_named(name: str) -> ZoneInfo:
    """Raises ValueError for a name that is none, or that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:  # a folder, a path outside, a name that is not there
        raise ValueError(f"{name!r} is no time zone; expected one as Europe/Warsaw") from error


def local(ts: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ts / 1000, zone)


@lru_cache(maxsize=10_000)
def begin_of(day: date, zone: ZoneInfo) -> int:
    """The instant at which `day` begins; where its midnight is left out, the first instant after it."""
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def days(since: date, until: date) -> Iterator[date]:
    """since <= day < until."""
    return (since + DAY * n for n in range((until - since).days))


def days_in_month(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def days_in_year(day: date) -> int:
    return 366 if calendar.isleap(day.year) else 365


def minutes_of(day: date, zone: ZoneInfo) -> int:
    """How long it is: 1440, or as the clocks are changed on it."""
    return (begin_of(day + DAY, zone) - begin_of(day, zone)) // 60_000
