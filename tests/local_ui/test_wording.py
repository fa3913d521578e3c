"""Numbers, ages and sentences as people read them."""

import pytest

from gateway.core import wording
from gateway.core.model import Quality, Reading
from gateway.core.status import SyncState
from gateway.core.syncwording import sync_text
from gateway.core.wording import utc_text
from local_ui.present import device_view
from tests.local_ui.parts import device


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234567.4, "W", "1,234,567"), (230.06, "V", "230.1"), (-3, "W", "-3"), (49.987, "Hz", "49.99"),
        (0.5, "", "0.5"), (7, "", "7"), ("abc", "", "abc"), (None, "W", "\N{EN DASH}"), (12.34, "kWh", "12.3"),
    ],
)  # fmt: skip
def test_a_number_has_the_decimals_of_its_unit_and_a_missing_one_is_a_dash(
    value: float | str | None, unit: str, text: str
) -> None:
    assert wording.number_text(value, unit) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [(20, "0.020 s"), (-59_999, "59.999 s"), (61_000, "1 min 1 s"), (3_600_000, "1 h 0 min"), (90_000_000, "1 d 1 h")],
)
def test_a_stretch_of_time_is_told_in_its_two_largest_units(ms: int, text: str) -> None:
    assert wording.span_text(ms) == text


def test_keys_become_words() -> None:
    assert wording.label("pv1_voltage") == "PV1 voltage"
    assert wording.label("grid_l2_current") == "Grid L2 current"
    assert wording.label("battery_soc") == "Battery SOC"


def test_ages_are_in_the_largest_unit_that_fits() -> None:
    assert [wording.age_text(ms) for ms in (-5, 900, 119_000, 121_000, 3 * 3_600_000, 49 * 3_600_000)] == [
        "0 s", "0 s", "119 s", "2 min", "3 h", "2 d",
    ]  # fmt: skip


def test_what_says_most_comes_first() -> None:
    keys = [("l1_power", "power"), ("voltage", "voltage"), ("power", "power"), ("serial", "")]
    readings = tuple(Reading(key, 1, "W", Quality.GOOD, quantity) for key, quantity in keys)
    assert [reading.key for reading in wording.main_readings(readings)] == ["power", "l1_power", "voltage"]


def test_a_missing_value_has_no_unit_and_says_that_it_is_missing() -> None:
    (point,) = device_view(device(value=None))["points"]
    assert (point["text"], point["unit"], point["missing"]) == ("\N{EN DASH}", "", True)


def test_sync_is_told_in_the_owners_words() -> None:
    assert sync_text(SyncState("")) == "No hub; everything stays here"
    assert sync_text(SyncState("h", connected=True)) == "The hub has everything"
    assert sync_text(SyncState("h", backlog=1240, error="no route")) == "1,240 records wait for the hub: no route"


def test_a_time_that_no_calendar_has_is_shown_as_the_nearest_that_one_has() -> None:
    assert [utc_text(ms) for ms in (-5, 1_790_000_000_000, 1 << 60)] == [
        "1970-01-01 00:00", "2026-09-21 14:13", "9999-01-01 00:00",
    ]  # fmt: skip
