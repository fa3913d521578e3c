"""Profiles: what is shipped is sound, and a mistake is named with file, line and key."""

from collections import Counter
from itertools import pairwise

import pytest

from drivers.modbus.profile import parse_profile
from drivers.modbus.sunspec import TYPES, FoundModel, place_models
from gateway.core.errors import ConfigError
from tests.drivers.answers import PROFILES, profile

SHIPPED = sorted(path.stem for path in PROFILES.glob("*.yaml"))
HEAD = "make: A\nmodel: B\nsource: s\nlicence: l\n"
POWER = "{key: power, register: 0, type: u16}"


def points(*entries: str, head: str = HEAD) -> str:
    """A profile whose first point stands on the line after `head` and `points:`."""
    return head + "points:\n" + "".join(f"  - {entry}\n" for entry in entries)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_loads_and_says_where_its_facts_are_from(name: str) -> None:
    loaded = profile(name)
    assert loaded.source
    assert loaded.licence


@pytest.mark.parametrize("name", [name for name in SHIPPED if profile(name).points])
def test_every_energy_total_is_a_counter(name: str) -> None:
    totals = [point for point in profile(name).points if point.key.endswith("energy_total")]
    assert {point.kind for point in totals} <= {"counter"}


def test_every_sunspec_exponent_and_count_is_a_point_of_its_model() -> None:
    sunspec = profile("sunspec").sunspec
    assert sunspec is not None
    for number, model in sunspec.models.items():
        types = {point.name: point.type for point in model.points}
        repeated = model.repeat.points if model.repeat else ()
        exponents = {point.sf for point in (*model.points, *repeated) if isinstance(point.sf, str)}
        assert {types.get(name) for name in exponents} <= {"sunssf"}, number
        assert model.repeat is None or model.repeat.count in types


def test_no_sunspec_point_overlaps_the_next() -> None:
    sunspec = profile("sunspec").sunspec
    assert sunspec is not None
    for number, model in sunspec.models.items():
        for part in (model.points, model.repeat.points if model.repeat else ()):
            for here, there in pairwise(part):
                words = here.words or TYPES[here.type][1]
                assert here.at + words <= there.at, (number, here.name, there.name)


@pytest.mark.parametrize(
    "models", [(1, 103, 160, 204), (1, 101, 120, 160, 201), (1, 113, 120, 124, 160, 213), (1, 701, 713, 714), (1, 802)]
)
def test_no_key_comes_twice_in_the_models_that_devices_have(models: tuple[int, ...]) -> None:
    sunspec = profile("sunspec").sunspec
    assert sunspec is not None
    named = [point.key for number in models for point in sunspec.models[number].points if point.key]
    assert not [key for key, times in Counter(named).items() if times > 1]
    placed = place_models(sunspec, [FoundModel(number, 1000 * at, 500) for at, number in enumerate(models)])
    assert set(named) <= {point.point.key for point in placed}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            points("{key: power, register: 0, type: u16, scael: 2}"),
            "6: points[0].scael: no such key; did you mean scale?",
        ),
        (points("{key: power, register: zero, type: u16}"), "6: points[0].register: expected a whole number, got text"),
        (points("{key: power, register: 70000, type: u16}"), "6: points[0].register: expected a whole number <= 65535"),
        (points("{key: power, register: 0, type: word}"), "6: points[0].type: "),
        (points("{key: Power W, register: 0, type: u16}"), "6: points[0].key: "),
        (points("{key: power, type: u16}"), "6: points[0]: the key register is missing"),
        (points("{key: power, register: 0, type: u16, scale: 0}"), "6: points[0].scale: expected a number > 0"),
        (points("{key: power, register: 0, type: u16, names: {0: off}}"), "6: points[0].names[0]: expected text"),
        (points(POWER, head="model: B\nsource: s\nlicence: l\n"), "1: (top): the key make is missing"),
        (points(POWER, "{key: power, register: 1, type: u16}"), "7: points[1] (power): the key is here twice"),
        (
            points("{key: power, register: 0, type: u32}", "{key: current, register: 1, type: u16}"),
            "7: points[1] (current): overlaps power in holding 1",
        ),
        (
            points("{key: mode, register: 0, type: u8_high}", "{key: state, register: 0, type: i8_high}"),
            "7: points[1] (state): overlaps mode in holding 0",
        ),
        (points("{key: serial, register: 0, type: text}"), "6: points[0] (serial): words: "),
        (points("{key: power, register: 0, type: u16, words: 2}"), "6: points[0] (power): words: "),
        (points("{key: relay, register: 0, type: bit}"), "6: points[0] (relay): type: "),
        (points("{key: relay, register: 0, type: u16, table: coil}"), "6: points[0] (relay): type: a coil holds bits"),
        (points("{key: power, register: 0, type: u16, group: slow}"), "6: points[0] (power): group: slow is not among"),
        (points("{key: power, register: 65535, type: u32}"), "6: points[0] (power): register: ends beyond 65535"),
        (
            points("{key: serial, register: 0, type: text, words: 20}", head=HEAD + "link: {words_max: 10}\n"),
            "7: points[0] (serial): wider than link.words_max, 10",
        ),
        (HEAD, "1: (top): expected either points or sunspec"),
        (points(POWER) + "sunspec: {models: {}}\n", "1: (top): expected either points or sunspec"),
        (HEAD + "make: C\n", "5: make: the key is here twice; the first is at meter.yaml:1"),
        (HEAD + "points: [\n", "6: not YAML"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profile(text, "meter.yaml")
    assert str(caught.value).startswith(f"meter.yaml:{complaint}")


def test_both_halves_of_a_register_can_be_points() -> None:
    loaded = parse_profile(
        points("{key: high, register: 0, type: u8_high}", "{key: low, register: 0, type: i8_low}"), "meter.yaml"
    )
    assert [point.key for point in loaded.points] == ["high", "low"]
