"""A month of hours as the page of completeness shows it."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from gateway.core.rollup import HOUR_MS
from sync.hub.reading.completeness import Completeness, DeviceHours
from sync.hub.reading.completenesspage import month_view
from sync.hub.reading.hourcalendar import Held, calendar_view, months_hours

WARSAW, KOLKATA = ZoneInfo("Europe/Warsaw"), ZoneInfo("Asia/Kolkata")


def month(first: date, zone: ZoneInfo, held: int = 60) -> Completeness:
    """A device of which each hour holds `held` of 60."""
    since, until = months_hours(first, zone)
    count = (until - since) // HOUR_MS
    return Completeness(since, until, HOUR_MS, [DeviceHours("meter", [held] * count, [60] * count, [0] * count)])


@pytest.mark.P10
@pytest.mark.parametrize(
    ("held", "mark", "share"),
    [
        (Held(60, 60), "whole", "100"),
        (Held(59, 60), "whole", "98"),
        (Held(5999, 6000), "whole", "99"),
        (Held(70, 60), "whole", "100"),
        (Held(58, 60), "some", "96"),
        (Held(60, 60, 1), "some", "100"),
        (Held(0, 60), "none", "0"),
        (Held(0, 0, 5), "none", ""),
        (Held(), "", ""),
        (Held(3, None), "unknown", "?"),
        (Held(60, 60) + Held(0, 60), "some", "50"),
        (Held(60, 60) + Held(3, None), "unknown", "?"),
    ],
)
def test_hours_are_whole_only_where_nothing_is_known_to_lack(held: Held, mark: str, share: str) -> None:
    assert (held.mark, held.share) == (mark, share)


def test_days_are_those_of_the_zone_and_its_clock_changes_neither_lose_nor_double_an_hour() -> None:
    march, october = date(2026, 3, 1), date(2026, 10, 1)
    found = month(march, WARSAW)
    view = calendar_view(found, found.devices[0], WARSAW)
    (changed,) = [day for day in view["days"] if day["date"] == "2026-03-29"]
    assert [cell["mark"] for cell in changed["cells"]] == ["whole", "whole", "left-out", *["whole"] * 21]
    assert (len(view["days"]), changed["held"]) == (31, "1,380")
    found = month(october, WARSAW)
    (changed,) = [day for day in calendar_view(found, found.devices[0], WARSAW)["days"] if day["date"] == "2026-10-25"]
    assert "120 records of 120 expected" in changed["cells"][2]["words"]
    assert changed["held"] == "1,500"


def test_a_zone_half_an_hour_off_has_each_hour_once() -> None:
    found = month(date(2026, 11, 1), KOLKATA)
    view = calendar_view(found, found.devices[0], KOLKATA)
    assert {len(view["days"]), found.until - found.since} == {30, 30 * 24 * HOUR_MS}
    assert {cell["mark"] for day in view["days"] for cell in day["cells"]} == {"whole"}


def test_months_go_back_and_forth_but_not_beyond_now() -> None:
    first = date(2026, 11, 1)
    view = month_view(month(first, WARSAW), first, WARSAW, "", months_hours(first, WARSAW)[1] - 1)
    assert (view["title"], view["before"], view["after"]) == ("November 2026", "2026-10", "")
    view = month_view(month(first, WARSAW), first, WARSAW, "", months_hours(first, WARSAW)[1])
    assert view["after"] == "2026-12"


def test_of_many_devices_one_is_shown_at_a_time() -> None:
    first = date(2026, 11, 1)
    whole = month(first, WARSAW)
    count = len(whole.devices[0].held)
    devices = [DeviceHours(name, [1] * count, [1] * count, [0] * count) for name in "abcd"]
    found = Completeness(whole.since, whole.until, HOUR_MS, devices)
    for asked, shown in (("", "a"), ("c", "c"), ("nobody", "a")):
        view = month_view(found, first, WARSAW, asked, 0)
        assert [one["name"] for one in view["calendars"]] == [shown]
        assert [one["name"] for one in view["devices"] if one["here"]] == [shown]
