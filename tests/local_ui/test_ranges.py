"""Ranges of time as people and scripts name them."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from local_ui.ranges import DAY_MS, HOUR_MS, parse_range, parse_resolution, periods

NOW = 1_790_000_000_000
BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (NOW - 600_000, NOW + 1)),
        ({"minutes": "60"}, (NOW - 3_600_000, NOW + 1)),
        ({"from": "1789000000000"}, (1_789_000_000_000, NOW + 1)),
        ({"from": "2026-03-01", "to": "2026-04-01"}, (ms("2026-03-01T00:00+01:00"), ms("2026-04-01T00:00+02:00"))),
        ({"from": "20260301T000000Z", "to": "2026-03-01T12:30"}, (ms("2026-03-01T00:00Z"), ms("2026-03-01T11:30Z"))),
    ],
)  # fmt: skip
def test_a_range_is_said_in_minutes_milliseconds_or_as_a_date_of_the_site(
    query: dict[str, str], expected: tuple[int, int]
) -> None:
    assert parse_range(query, NOW, BERLIN) == expected


@pytest.mark.parametrize(
    "query",
    [
        {"minutes": "0"}, {"minutes": "1441"}, {"minutes": "soon"}, {"from": "yesterday"}, {"from": "5"}, {"from": ""},
        {"from": "2026-03-02", "to": "2026-03-01"}, {"from": "2026-03-01", "to": "2026-03-01"},
        {"from": "1999-01-01", "to": "2026-01-01"}, {"from": "9999-12-31"}, {"from": "9" * 5000},
        {"from": "1950-01-01"},
        {"from": "0001-01-01T00:00+14:00"}, {"minutes": "\u00b2"}, {"from": "\u0661" * 12, "to": "x"},
    ],
)  # fmt: skip
def test_what_is_no_range_is_refused_with_a_sentence(query: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^(minutes|from|to|from, to): expected "):
        parse_range(query, NOW, BERLIN)


def test_a_resolution_may_be_asked_for_within_reason() -> None:
    assert parse_resolution({}, 300 * DAY_MS) is None
    assert parse_resolution({"resolution": "1h"}, 300 * DAY_MS) == "1h"
    for name in ("raw", "1m", "1s"):
        with pytest.raises(ValueError, match="resolution"):
            parse_resolution({"resolution": name}, 300 * DAY_MS)


def test_days_are_those_of_the_site_also_when_its_clocks_change() -> None:
    bounds = periods(ms("2026-03-28T15:00+01:00"), ms("2026-03-30T01:00+02:00"), "day", BERLIN)
    assert [datetime.fromtimestamp(bound / 1000, BERLIN).isoformat() for bound in bounds] == [
        "2026-03-28T00:00:00+01:00",
        "2026-03-29T00:00:00+01:00",
        "2026-03-30T00:00:00+02:00",
        "2026-03-31T00:00:00+02:00",
    ]
    assert [(after - before) // HOUR_MS for before, after in pairwise(bounds)] == [24, 23, 24]
    kolkata = periods(ms("1990-01-01T00:00Z"), ms("1990-01-02T00:00Z"), "day", ZoneInfo("Asia/Kolkata"))
    assert kolkata[1] == ms("1990-01-02T00:00+05:30")


def test_hours_cover_the_range() -> None:
    assert periods(HOUR_MS + 1, 3 * HOUR_MS, "hour", UTC) == [HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS]
    assert periods(HOUR_MS, 3 * HOUR_MS + 1, "hour", UTC)[-1] == 4 * HOUR_MS
    for per, until in (("hour", 400 * DAY_MS), ("week", DAY_MS)):
        with pytest.raises(ValueError, match="per"):
            periods(0, until, per, UTC)
