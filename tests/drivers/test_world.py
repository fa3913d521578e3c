"""The invented house: counters only grow, what devices show fits together, and any profile can be simulated."""

from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.load import parse_profile
from drivers.modbus.models import SunSpec
from drivers.simulator.chain import lay_out
from drivers.simulator.counter import Counter, group_values
from drivers.simulator.encode import words_of
from drivers.simulator.household import FLOWS, ORIGIN_S, STEP_S, STEPS, Household
from drivers.simulator.world import World
from gateway.core.model import Raw
from tests.drivers.answers import PROFILES, profile, read_all

SHIPPED = sorted(path.stem for path in PROFILES.glob("*.yaml"))
SUNSPEC = profile("sunspec").sunspec or SunSpec(models={})
NOON_S = ORIGIN_S + 900 * 86_400 + 43_200
NIGHT_S = NOON_S + 43_200

times_s = st.floats(min_value=0, max_value=4_000_000_000)
house = Household()


async def shown(world: World, name: str, now_s: float) -> dict[str, Raw | None]:
    return {reading.placed.point.key: reading.value for reading in await read_all(world, profile(name), now_s)}


async def numbers(world: World, name: str, now_s: float) -> dict[str, float]:
    values = await shown(world, name, now_s)
    return {key: value for key, value in values.items() if isinstance(value, (int, float))}


@given(times_s, st.one_of(st.floats(min_value=0, max_value=3 * STEP_S), times_s))
def test_no_energy_ever_goes_down(now_s: float, later_by_s: float) -> None:
    before, after = house.at(now_s).energy_wh, house.at(now_s + later_by_s).energy_wh
    assert all(before[flow] <= after[flow] for flow in FLOWS)


@given(times_s)
def test_all_power_comes_from_somewhere(now_s: float) -> None:
    power_w = house.at(now_s).power_w
    assert min(power_w.values()) >= 0
    into = power_w["pv"] + power_w["discharge"] + power_w["import"]
    out = power_w["load"] + power_w["charge"] + power_w["export"]
    assert isclose(into, out, abs_tol=1e-6)


@given(times_s)
def test_energy_is_the_power_that_flowed(now_s: float) -> None:
    now_s = max(now_s, ORIGIN_S)
    here, there = house.at(now_s), house.at(now_s + 3600)
    hour = [house.at(now_s + minute * 60).power_w["pv"] for minute in range(61)]
    flowed_wh = there.energy_wh["pv"] - here.energy_wh["pv"]
    assert min(hour) - 1e-3 <= flowed_wh <= max(hour) + 1e-3


def test_the_battery_stays_within_its_charge_and_ends_the_week_as_it_began() -> None:
    week = [house.at(ORIGIN_S + step * STEP_S).soc for step in range(STEPS + 1)]
    assert min(week) >= 10 - 1e-9
    assert max(week) <= 100 + 1e-9
    assert abs(week[-1] - week[-2]) < 1


def test_the_sun_does_not_shine_at_night() -> None:
    assert house.at(NIGHT_S).power_w["pv"] == 0
    assert house.at(NOON_S).power_w["pv"] > 1000


@pytest.mark.parametrize("name", SHIPPED)
async def test_a_device_starts_again_where_it_was(name: str) -> None:
    one, other = (World(profile(name), name="d", household=Household(7)) for _ in range(2))
    assert await shown(one, name, NOON_S) == await shown(other, name, NOON_S)
    assert await shown(one, name, NOON_S) != await shown(World(profile(name), name="d"), name, NIGHT_S)


@pytest.mark.parametrize("name", SHIPPED)
async def test_a_simulated_device_answers_every_read_that_the_driver_plans(name: str) -> None:
    readings = await read_all(World(profile(name)), profile(name), NOON_S)
    whole_numbers = [reading for reading in readings if reading.placed.type not in ("text", "f32", "f64")]
    assert not [reading.placed.point.key for reading in whole_numbers if reading.raw is None]


@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=20, deadline=None)
@given(now_s=times_s, later_by_s=st.floats(min_value=0, max_value=1e8))
async def test_a_counter_never_goes_down(name: str, now_s: float, later_by_s: float) -> None:
    world = World(profile(name), share=0.3)
    after = await numbers(world, name, now_s + later_by_s)
    for reading in await read_all(world, profile(name), now_s):
        key = reading.placed.point.key
        if reading.placed.point.kind == "counter" and isinstance(reading.value, (int, float)):
            assert reading.value <= after[key], key


@pytest.mark.parametrize("model", sorted(SUNSPEC.models))
async def test_every_sunspec_model_can_be_simulated(model: int) -> None:
    readings = await read_all(World(profile("sunspec"), models=(model,)), profile("sunspec"), NOON_S)
    _, laid_out = lay_out(SUNSPEC, (model,))
    places = {(reading.placed.block.address, reading.placed.block.count) for reading in readings}
    assert places == {(point.address, point.count) for point in laid_out}
    assert not [r.placed.path for r in readings if r.raw is None and r.placed.type not in ("text", "f32", "f64")]


EVERY_WAY = """\
make: A
model: B
source: s
licence: l
points:
  - {key: u16, register: 0, type: u16, scale: 0.01, quantity: frequency}
  - {key: swapped, register: 1, type: u32, order: little-swapped, scale: 0.01, quantity: frequency}
  - {key: bcd16, register: 3, type: bcd16, scale: 0.01, quantity: frequency}
  - {key: bcd32, register: 4, type: bcd32, order: little, scale: 0.001, quantity: frequency}
  - {key: shifted, register: 6, type: i16, scale: 0.01, offset: 60, quantity: frequency}
  - {key: float, register: 7, type: f64, order: big-swapped, offset: -100, quantity: frequency}
  - {key: factored, register: 11, type: i32, order: little, sf: factor, quantity: frequency}
  - {key: factor, register: 13, type: i16, order: big-swapped}
"""


async def test_a_quantity_is_the_same_however_a_profile_says_it_is_kept() -> None:
    every_way = parse_profile(EVERY_WAY, "every.yaml")
    for reading in await read_all(World(every_way), every_way, NOON_S):
        expected = -2 if reading.placed.point.key == "factor" else pytest.approx(50, abs=0.05)
        assert reading.value == expected, reading.placed.point.key


async def test_what_the_devices_of_a_site_show_fits_together() -> None:
    inverter = await numbers(World(profile("goodwe-et"), household=house, share=0.6), "goodwe-et", NOON_S)
    roof = await numbers(World(profile("sunspec"), household=house, share=0.4), "sunspec", NOON_S)
    meter = await numbers(World(profile("eastron-sdm630"), household=house), "eastron-sdm630", NOON_S)
    produced_w = inverter["pv1_power"] + inverter["pv2_power"] + roof["dc_power"]
    left_w = produced_w + inverter["battery_power"] - inverter["load_power"]
    assert isclose(inverter["active_power"], left_w, abs_tol=5)
    assert isclose(meter["active_power"], -left_w, abs_tol=5)
    assert isclose(meter["import_energy_total"], inverter["import_energy_total"], abs_tol=0.2)


async def test_an_input_without_panels_is_missing() -> None:
    inverter = await shown(World(profile("goodwe-et")), "goodwe-et", NOON_S)
    assert inverter["pv2_voltage"] is not None
    assert inverter["pv3_voltage"] is None


def test_a_device_refuses_what_a_real_one_refuses() -> None:
    inverter, meter = World(profile("goodwe-et")), World(profile("eastron-sdm630"))
    assert inverter.read("holding", 36000, 45, NOON_S) is not None
    assert inverter.read("holding", 36000, 46, NOON_S) is None  # across a barrier
    assert inverter.read("holding", 100, 1, NOON_S) is None
    assert inverter.read("input", 36000, 1, NOON_S) is None
    assert meter.read("input", 0, 80, NOON_S) is not None
    assert meter.read("input", 0, 82, NOON_S) is None  # more than it takes at once


def test_part_of_a_number_is_the_same_as_in_the_whole() -> None:
    inverter = World(profile("goodwe-et"))
    parts = [inverter.read("holding", at, 1, NOON_S) for at in (35191, 35192)]
    assert inverter.read("holding", 35191, 2, NOON_S) == [word for part in parts if part for word in part]


def test_a_profile_of_one_point_can_be_simulated() -> None:
    text = "make: A\nmodel: B\nsource: s\nlicence: l\npoints:\n  - {key: anything, register: 5, type: u16}\n"
    assert World(parse_profile(text, "one.yaml")).read("holding", 5, 1, NOON_S) is not None


@pytest.mark.parametrize(
    ("value", "register_type", "words"),
    [
        (230.4, "u16", [2304]), (-1.0, "i16", [0xFFF6]), (70000.0, "u16", [0xFFFF]), (-5.0, "u16", [0]),
        (6553.6, "u32", [1, 0]), (-0.1, "i32", [0xFFFF, 0xFFFF]), (0.1, "u64", [0, 0, 0, 1]),
        (0.2, "u8_high", [0x200]), (-0.1, "i8_low", [0xFF]), (0.1, "f32", [0x3F80, 0]),
    ],
)  # fmt: skip
def test_a_value_is_cut_to_what_its_registers_hold(value: float, register_type: str, words: list[int]) -> None:
    assert words_of(value, register_type, count=len(words), scale=0.1) == words


def test_a_value_steps_aside_from_the_numbers_that_mean_missing() -> None:
    assert words_of(65535, "u16", count=1, missing=(65535,)) == [65534]
    assert words_of(None, "u16", count=1, missing=(65535,)) == [65535]
    assert words_of(None, "u16", count=1) == [0]
    assert words_of(100000, "u32", count=2, order="little") == [0x86A0, 1]


def test_a_counter_counts_the_answers_that_cover_its_group() -> None:
    counter = Counter()
    assert counter.read("holding", 0, 2, 0) == [0, 0]  # only a part
    assert counter.read("holding", 0, 6, 0) is None  # beyond the group: refused, not counted
    assert counter.read("holding", 0, 5, 0) == [0, 1, 0x3F00, 0, 0x10000 + group_values(1)[2]]
    assert counter.answers == {0: 1, 100: 0}
    counter.read("holding", 100, 5, 0)
    assert counter.answers == {0: 1, 100: 1}


async def test_the_counters_profile_shows_what_is_said_of_it() -> None:
    counter = Counter()
    for answers in range(1, 4):
        readings = {reading.placed.point.key: reading.value for reading in await read_all(counter, profile("counter"))}
        assert (readings["answers"], readings["half"], readings["wave"]) == group_values(answers)
        assert readings["slow_answers"] == answers
