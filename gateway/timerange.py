"""Points in time as people give them to a command; pure."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.core.errors import ConfigError

BACK = re.compile(r"-(\d{1,6})(s|min|h|d|w)")
UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def moment(option: str, text: str, zone: ZoneInfo, now: datetime, *, is_end: bool = False) -> int:
    """Milliseconds since 1970 UTC of -7d (so long before `now`), 2026-11-20, 2026-11-20T08:00 or with an offset.

    A day alone is its beginning, as an end the whole day. Without an offset it is `zone`'s time. Raises ConfigError.
    """
    try:
        if back := BACK.fullmatch(text):
            return _ms(now - timedelta(**{UNITS[back[2]]: int(back[1])}))
        when = datetime.fromisoformat(text)
        if is_end and DAY.fullmatch(text):
            when += timedelta(days=1)  # of the calendar: a day may have 23 or 25 hours
        return _ms(when if when.tzinfo else when.replace(tzinfo=zone))
    except (ValueError, OverflowError) as error:
        hint = "as in 2026-11-20, 2026-11-20T08:00, 2026-11-20T08:00+01:00 or -7d (also s, min, h, w)"
        raise ConfigError(f"{option}: expected a time, got {text!r}", hint=hint) from error


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)
