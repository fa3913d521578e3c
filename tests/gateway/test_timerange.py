"""Times as people give them to a command."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.core.errors import ConfigError
from gateway.timerange import moment

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-11-20", "2026-11-19T23:00", "2026-11-20T23:00"),
        ("2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00"),  # a day of 25 hours
        ("2026-11-20T08:00", "2026-11-20T07:00", "2026-11-20T07:00"),
        ("2026-11-20 08:00:01.5", "2026-11-20T07:00:01.500", "2026-11-20T07:00:01.500"),
        ("2026-11-20T08:00Z", "2026-11-20T08:00", "2026-11-20T08:00"),
        ("2026-11-20T08:00+02:00", "2026-11-20T06:00", "2026-11-20T06:00"),
        ("-7d", "2026-11-14T12:00", "2026-11-14T12:00"),
        ("-90min", "2026-11-21T10:30", "2026-11-21T10:30"),
    ],
)
def test_a_time_is_the_sites_unless_it_says_otherwise_and_a_day_as_an_end_is_whole(
    text: str, start: str, end: str
) -> None:
    assert moment("--from", text, BERLIN, NOW) == utc(start)
    assert moment("--to", text, BERLIN, NOW, is_end=True) == utc(end)


@pytest.mark.parametrize("text", ["", "yesterday", "7d", "-7", "-7m", "2026-13-01", "-999999w"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match="--from: expected a time") as refused:
        moment("--from", text, BERLIN, NOW)
    assert "-7d" in refused.value.hint
