"""Ranges of time as a request names them; pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from gateway.core.status import Resolution

MINUTES_MAX = 24 * 60
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
YEARS_20_MS = 20 * 366 * DAY_MS
LONGEST_MS: dict[str, int] = {"raw": 2 * DAY_MS, "1m": 62 * DAY_MS, "1h": YEARS_20_MS, "auto": YEARS_20_MS}
LATEST_MS = 32_503_680_000_000  # the year 3000

Per = Literal["hour", "day"]


def parse_range(query: Mapping[str, str], now: int, zone: tzinfo) -> tuple[int, int]:
    """since <= ts < until in ms, from `from` and `to`, or `minutes` (10). Raises ValueError with a sentence."""
    if "from" not in query:
        minutes = query.get("minutes", "10")
        if not minutes.isdecimal() or len(minutes) > 9 or not 0 < int(minutes) <= MINUTES_MAX:
            raise ValueError(f"minutes: expected a whole number from 1 to {MINUTES_MAX}")
        return now - int(minutes) * MINUTE_MS, now + 1
    since = _parse_time(query["from"], "from", zone)
    until = _parse_time(query["to"], "to", zone) if "to" in query else now + 1
    if not since < until:
        raise ValueError("from: expected a time before the end of the range")
    if until - since > YEARS_20_MS:
        raise ValueError("from, to: expected at most 20 years")
    return since, until


def _parse_time(text: str, name: str, zone: tzinfo) -> int:
    try:
        ms = int(text) if text.isdecimal() and len(text) > 8 else _iso_ms(text, zone)
    except (ValueError, OverflowError):
        ms = -1
    if not 0 <= ms <= LATEST_MS:
        raise ValueError(f"{name}: expected milliseconds since 1970, or a time as 2026-03-01 or 2026-03-01T12:00:00Z")
    return ms


def _iso_ms(text: str, zone: tzinfo) -> int:
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=zone)).timestamp() * 1000)


def parse_resolution(query: Mapping[str, str], length_ms: int) -> Resolution | None:
    """None: as it fits. Raises ValueError with a sentence, also where the answer would be too long."""
    name = query.get("resolution", "auto")
    if name not in LONGEST_MS:
        raise ValueError(f"resolution: expected one of {', '.join(LONGEST_MS)}")
    if length_ms > LONGEST_MS[name]:
        raise ValueError(f"resolution: {name} is for at most {LONGEST_MS[name] // DAY_MS} days")
    chosen: dict[str, Resolution] = {"raw": "raw", "1m": "1m", "1h": "1h"}
    return chosen.get(name)


def periods(since: int, until: int, per: str, zone: tzinfo) -> list[int]:
    """When the hours or the days of `zone` begin that make up the range, and when the last ends.

    Raises ValueError with a sentence.
    """
    if per not in ("hour", "day"):
        raise ValueError("per: expected hour or day")
    if per == "hour":
        if until - since > LONGEST_MS["1m"]:
            raise ValueError("per: hours are for at most 62 days")
        return list(range(since // HOUR_MS * HOUR_MS, -(-until // HOUR_MS) * HOUR_MS + 1, HOUR_MS))
    day = datetime.fromtimestamp(since / 1000, UTC).astimezone(zone).date()
    bounds = [_midnight(day, zone)]
    while bounds[-1] < until:
        day += timedelta(days=1)
        bounds.append(_midnight(day, zone))
    return bounds


def _midnight(day: object, zone: tzinfo) -> int:
    ms = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=zone).timestamp() * 1000
    return int(ms) // MINUTE_MS * MINUTE_MS
