"""What the page shows of a state; `test_wording.py` has the numbers and words themselves."""

import msgspec
import pytest

from gateway.core.model import Quality, Reading
from gateway.core.status import BufferState, ClockState, DeviceState, SiteState, SyncState
from gateway.core.syncwording import sync_text
from gateway.core.wording import bytes_text, main_readings
from local_ui.present import buffer_text, clock_text, device_view, problems, site_view
from tests.local_ui.parts import NOW, FakeSite, device

UNREACHED = "https://hub.example"


def reading(key: str, value: float | None, quantity: str = "", unit: str = "", words: str = "") -> Reading:
    return Reading(key, value, unit, Quality.MISSING if value is None else Quality.GOOD, quantity, words)


def device_with(*readings: Reading) -> DeviceState:
    return msgspec.structs.replace(device(), readings=readings)


@pytest.mark.parametrize(
    ("sync", "sentence"),
    [
        (SyncState("", connected=True, backlog=7), "No hub; everything stays here"),
        (SyncState(UNREACHED, backlog=7), "7 records wait for the hub"),
        (SyncState(UNREACHED, backlog=1), "1 record waits for the hub"),
        (SyncState(UNREACHED), "Nothing waits for the hub"),
        (SyncState(UNREACHED, backlog=0, error="refused"), "0 records wait for the hub: refused"),
        (SyncState(UNREACHED, connected=True, backlog=1240), "Live; 1,240 records on the way to the hub"),
        (SyncState(UNREACHED, connected=True, backlog=3, error="spent"), "3 records wait for the hub: spent"),
        (SyncState(UNREACHED, connected=True, backlog=1), "Live; 1 record on the way to the hub"),
        (SyncState(UNREACHED, connected=True, backlog=0, error="old"), "The hub has everything"),
        (SyncState(UNREACHED, connected=True, quarantined=3), "The hub has everything but 3 that it refuses"),
    ],
)
def test_each_state_of_sync_has_its_sentence(sync: SyncState, sentence: str) -> None:
    assert sync_text(sync) == sentence


@pytest.mark.parametrize(
    ("sync", "level"),
    [
        (SyncState(""), "none"), (SyncState(UNREACHED), "bad"), (SyncState(UNREACHED, connected=True), "good"),
        (SyncState(UNREACHED, connected=True, backlog=3, error="spent"), "bad"),
    ],
)  # fmt: skip
def test_a_hub_that_is_not_reached_or_does_not_get_what_waits_is_bad(sync: SyncState, level: str) -> None:
    site = FakeSite(device())
    site.sync = sync
    assert site_view(site.state())["sync_level"] == level


def test_what_the_disk_refuses_is_passed_on() -> None:
    state: SiteState = msgspec.structs.replace(FakeSite().state(), buffer=BufferState(0, 0, "disk full", 12))
    assert site_view(state)["buffer_error"] == "Nothing can be stored; 12 records wait in memory. disk full"
    assert problems(state) == ["readings cannot be stored; 12 records wait in memory"]


def test_a_disk_that_is_nearly_full_is_told_without_saying_that_nothing_is_stored() -> None:
    cramped = BufferState(5, 0, dropped=3, warning="the disk has 2.0 MB left: make room on it")
    state: SiteState = msgspec.structs.replace(FakeSite().state(), buffer=cramped)
    told = "3 records were lost since the start. The disk has 2.0 MB left: make room on it"
    assert site_view(state)["buffer_error"] == told
    assert problems(state) == ["3 records were lost since the start", "the room for readings runs out"]


def test_the_buffer_is_told_in_records_and_a_size() -> None:
    assert buffer_text(BufferState(1_234_567, 2_500_000)) == "1,234,567 records taken, 2.5 MB"
    assert [bytes_text(count) for count in (0, 999, 1000, 3_200_000_000)] == ["0 B", "999 B", "1.0 kB", "3.2 GB"]


def test_the_words_of_an_enum_stand_without_the_unit() -> None:
    (point,) = device_view(device_with(reading("mode", 2, unit="x", words="charging")))["points"]
    assert (point["text"], point["unit"]) == ("charging", "")


def test_the_chart_is_of_the_plainest_power_and_there_is_none_without_one() -> None:
    readings = (reading("l1_power", 1, "power"), reading("power", 2, "power"), reading("voltage", 3, "voltage"))
    assert device_view(device_with(*readings))["chart"] == "power"
    assert device_view(device_with(readings[2]))["chart"] == ""


def test_at_most_two_of_a_quantity_and_six_in_all_are_shown_large_none_of_them_missing() -> None:
    quantities = ("power", "battery", "energy", "temperature")
    readings = tuple(reading(f"{quantity}{n}", n or None, quantity) for quantity in quantities for n in range(4))
    keys = [one.key for one in main_readings(readings)]
    assert keys == ["power1", "power2", "battery1", "battery2", "energy1", "energy2"]


def test_of_a_device_without_quantities_the_first_eight_are_shown_large() -> None:
    readings = tuple(reading(f"relay{n}", None if n == 0 else 1) for n in range(12))
    view = device_view(device_with(*readings))
    assert [point["key"] for point in view["main"]] == [f"relay{n}" for n in range(8)]
    assert len(view["points"]) == 12


@pytest.mark.parametrize(
    ("clock", "said"),
    [
        (ClockState(known=True, source="kernel"), "The time is known: the machine's clock is synchronised"),
        (ClockState(known=True, source="hub", offset_ms=7_380_000),
         "The time is known: by the hub's clock; before, it was estimated 2 h 3 min too early"),
        (ClockState(known=True, source="set", offset_ms=-40, steps=1),
         "The time is known: as it was set by hand; before, it was estimated 0.040 s too late;"
         " the clock was set 1 time while running"),
        (ClockState(known=False, source="estimate"),
         "Nobody has confirmed the time yet: times shown are estimates, and are corrected when it is known"),
    ],
)  # fmt: skip
def test_the_page_says_who_confirmed_the_time_and_how_far_off_it_was(clock: ClockState, said: str) -> None:
    assert clock_text(clock) == said


def test_a_device_that_was_never_read_has_no_points_and_no_time() -> None:
    view = device_view(DeviceState("new", "other", "counter", "starting", NOW))
    assert (view["presence"], view["ts"], view["points"], view["main"]) == ("starting", 0, [], [])
