"""Profiles: what is shipped is sound, and a mistake is named with file, line and key."""

import re
from collections import Counter
from itertools import pairwise
from textwrap import dedent

import pytest

from drivers.modbus.load import mistakes_in, parse_profile
from drivers.modbus.points import place_points
from drivers.modbus.sunspec import TYPES, FoundModel, place_models
from gateway.core.errors import ConfigError
from tests.drivers.answers import PROFILES, ROOT, profile, text_of

SHIPPED = sorted(path.stem for path in PROFILES.glob("*.yaml"))
HEAD = "make: A\nmodel: B\nsource: s\nlicence: l\n"
POWER = "{key: power, register: 0, type: u16}"


def points(*entries: str, head: str = HEAD) -> str:
    """A profile whose first point stands on the line after `head` and `points:`."""
    return head + "points:\n" + "".join(f"  - {entry}\n" for entry in entries)


def writable(write: str) -> str:
    return points(POWER[:-1] + f", write: {write}" + "}")


def identified(entry: str) -> str:
    return points(POWER, head=HEAD + f"identify: [{entry}]\n")


def sunspec(point: str) -> str:
    return HEAD + f"sunspec:\n  models:\n    1: {{name: a, points: [\n{point}]}}\n"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_loads_and_says_where_its_facts_are_from(name: str) -> None:
    loaded = profile(name)
    assert loaded.source
    assert loaded.licence


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_without_a_recorded_answer_says_that_it_is_not_proven(name: str) -> None:
    assert profile(name).proven_by or "Not proven" in (PROFILES / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_what_wears_out_with_each_write_is_written_so_often_a_day_at_most(name: str) -> None:
    writable = [point for point in profile(name).points if point.write is not None and point.write.memory == "stored"]
    assert not [point.key for point in writable if not point.write.per_day]


@pytest.mark.parametrize("name", [name for name in SHIPPED if profile(name).points])
def test_every_energy_total_is_a_counter(name: str) -> None:
    totals = [point for point in profile(name).points if point.key.endswith("energy_total")]
    assert {point.kind for point in totals} <= {"counter"}


def test_every_sunspec_exponent_and_count_is_a_point_of_its_model() -> None:
    sunspec = profile("sunspec").sunspec
    assert sunspec is not None
    for number, model in sunspec.models.items():
        types = {point.name: point.type for point in model.points}
        exponents = {point.sf for point in model.every_point() if isinstance(point.sf, str)}
        assert {types.get(name) for name in exponents} <= {"sunssf"}, number
        assert model.repeat is None or model.repeat.count in types


def test_no_sunspec_point_overlaps_the_next() -> None:
    sunspec = profile("sunspec").sunspec
    assert sunspec is not None
    for number, model in sunspec.models.items():
        parts = [model.points, *(group.points for group in model.every_group())]
        for part in parts:
            for here, there in pairwise(part):
                words = here.words or TYPES[here.type][1]
                assert here.at + words <= there.at, (number, here.name, there.name)


@pytest.mark.parametrize(
    "models",
    [
        (1, 103, 160, 204),
        (1, 101, 120, 160, 201),
        (1, 113, 120, 124, 160, 213),
        (1, 701, 713, 714),
        (1, 802),
        (1, 103, 120, 121, 122, 123, 124, 160, 203),
        (1, *range(701, 715)),
        (1, 701, 704, 802, 803, 804),
    ],
)
def test_no_key_comes_twice_in_the_models_that_devices_have(models: tuple[int, ...]) -> None:
    sunspec = profile("sunspec").sunspec
    assert sunspec is not None
    named = [point.key for number in models for point in sunspec.models[number].points if point.key]
    assert not [key for key, times in Counter(named).items() if times > 1]
    counts = {"NPt": 2}
    placed = place_models(sunspec, [FoundModel(number, 1000 * at, 500, counts) for at, number in enumerate(models)])
    assert len({point.point.key for point in placed}) == len(placed)
    assert set(named) <= {point.point.key for point in placed}


def test_a_model_that_is_there_again_gets_keys_of_its_own() -> None:
    sunspec = profile("sunspec").sunspec
    assert sunspec is not None
    placed = place_models(sunspec, [FoundModel(203, at, 107) for at in (0, 200, 400)])
    assert [p.point.key for p in placed if p.path == "W"] == ["meter_power", "meter_power_2", "meter_power_3"]


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
        (points(POWER[:-1] + ", sf: factor}"), "6: points[0] (power): sf: factor is not another point"),
        (points(POWER[:-1] + ", sf: power}"), "6: points[0] (power): sf: power is not another point"),
        (
            points(POWER[:-1] + ", sf: n}", "{key: n, register: 1, type: u16}"),
            "6: points[0] (power): sf: n: expected an",
        ),
        (
            points(POWER[:-1] + ", sf: n}", "{key: n, register: 125, type: i16}"),
            "6: points[0] (power): sf: n is too far",
        ),
        (
            points(POWER[:-1] + ", sf: n}", "{key: n, register: 9, type: i16}", head=HEAD + "barriers: [5]\n"),
            "7: points[0] (power): sf: n is beyond a barrier",
        ),
        (points(POWER[:-1] + ", order: middle}"), "6: points[0].order: "),
        (writable("{min: 0, max: 9}"), "6: points[0].write: the key memory is missing"),
        (writable("{max: 9, memory: stored}"), "6: points[0] (power): write: expected min and max"),
        (writable("{memory: stored}"), "6: points[0] (power): write: expected min and max, or an enum with names"),
        (writable("{min: 9, max: 9, memory: stored}"), "6: points[0] (power): write.min: expected less than max"),
        (writable("{min: -1, max: 9, memory: stored}"), "6: points[0] (power): write.min: -1 does not fit u16"),
        (
            writable("{min: 0, max: 9, step: 0, memory: stored}"),
            "6: points[0] (power): write.step: expected a number > 0",
        ),
        (
            writable("{min: 0, max: 9, memory: stored, confirm: x}"),
            "6: points[0] (power): write.confirm: x is not one of",
        ),
        (
            writable("{min: 0, max: 9, memory: stored, function: 5}"),
            "6: points[0] (power): write.function: 5 cannot write",
        ),
        (writable("{min: 0, max: 9, memory: stored}, table: input"), "6: points[0] (power): write: "),
        (
            points("{key: a, register: 0, type: text, words: 2, write: {memory: stored}}"),
            "6: points[0] (a): write: text",
        ),
        (identified("{register: 0, type: u16}"), "5: identify[0]: expected one of matches, values and range"),
        (identified("{register: 0, type: u16, matches: x}"), "5: identify[0].matches: expected only for a text"),
        (identified("{register: 0, type: text, words: 2, matches: '('}"), "5: identify[0].matches: not a regular"),
        (identified("{register: 0, type: text, matches: a}"), "5: identify[0].words: expected for a text"),
        (identified("{register: 0, type: u16, range: [9, 1]}"), "5: identify[0].range: expected the least first"),
        (points(POWER, head=HEAD + "serial: sn\n"), "5: serial: sn is not one of the points"),
        (points(POWER, head=HEAD + "based_on: other\n"), "5: based_on: expected the name of a profile"),
        (sunspec("{name: A, at: 2, type: int16, sf: A_SF}"), "8: sunspec.models[1].points[0].sf: A_SF is not a scale"),
        (sunspec("{name: A, at: 2, type: int17}"), "8: sunspec.models[1].points[0].type: "),
        (
            sunspec("{name: A, at: 2, type: int16, write: {memory: stored}}"),
            "8: sunspec.models[1].points[0]: write: expected min and max",
        ),
        (
            sunspec("{name: A, at: 2, type: acc32, write: {min: 0, max: 1, memory: stored, confirm: b}}"),
            "8: sunspec.models[1].points[0].write: acc32 cannot be written",
        ),
        (sunspec("{name: A, at: 2, type: string}"), "8: sunspec.models[1].points[0].words: expected for a string"),
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


def test_a_good_point_can_be_written_by_the_function_that_fits_its_width() -> None:
    loaded = parse_profile(
        points(
            "{key: limit, register: 0, type: u16, scale: 0.1, write: {min: 0, max: 100, memory: volatile}}",
            "{key: energy, register: 1, type: u32, write: {min: 0, max: 9, memory: stored, confirm: limit}}",
            "{key: mode, register: 3, type: u16, kind: enum, names: {1: a}, write: {memory: stored, function: 16}}",
            "{key: relay, register: 0, type: bit, table: coil, write: {memory: volatile, pulse_s: 0.5}}",
        ),
        "meter.yaml",
    )
    functions = [
        placed.write.function_for(loaded.table_of(spec), spec.count)
        for placed, spec in zip(place_points(loaded), loaded.points, strict=True)
        if placed.write
    ]
    assert functions == [6, 16, 16, 5]


def test_every_mistake_is_found_with_the_file_that_it_is_in() -> None:
    text = points("{key: power, register: 0, type: u32}", "{key: b, register: 1, type: u16, group: slow}", head=HEAD)
    assert [str(mistake) for mistake in mistakes_in(text, "meter.yaml")] == [
        "meter.yaml:7: points[1] (b): group: slow is not among the profile's groups",
        "meter.yaml:7: points[1] (b): overlaps power in holding 1",
    ]
    two = points("{key: Power, register: x, type: u16}", head="model: B\nsource: s\nlicence: l\n")
    assert [str(mistake).split(": ")[1] for mistake in mistakes_in(two, "meter.yaml")] == [
        "points[0].key", "points[0].register", "(top)",
    ]  # fmt: skip


BASE = (
    HEAD
    + "proven_by: a recording\npoints: [{key: a, register: 0, type: u16, unit: W}, {key: b, register: 9, type: u16}]\n"
)
FILES = {
    "base": BASE,
    "round": "based_on: trip\n",
    "trip": "based_on: round\n",
    "self": "based_on: self\n",
    "bad": BASE.replace("u16", "u17"),
}


def find(name: str) -> tuple[str, str]:
    if name not in FILES:
        raise ConfigError(f"there is no profile {name}")
    return FILES[name], f"{name}.yaml"


def test_a_profile_is_laid_over_the_one_that_it_is_based_on() -> None:
    over = parse_profile(
        "based_on: base\nmake: C\npoints: [{key: b, unit: V}, {key: c, register: 2, type: u16}]\n", "c.yaml", find
    )
    assert (over.make, over.model) == ("C", "B")
    assert [(point.key, point.register, point.unit) for point in over.points] == [
        ("a", 0, "W"), ("b", 9, "V"), ("c", 2, ""),
    ]  # fmt: skip
    assert over.proven_by == ""  # what proves the base says nothing of this device


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nothing", "c.yaml:1: based_on: there is no profile nothing"),
        ("round", "trip.yaml:1: based_on: goes round in a circle: round on trip on round"),
        ("self", "self.yaml:1: based_on: goes round in a circle: self on self"),
        ("bad", "bad.yaml:6: points[0].type: "),
    ],
)
def test_a_base_that_is_unknown_wrong_or_goes_round_is_named(name: str, complaint: str) -> None:
    text = f"based_on: {name}\n"
    with pytest.raises(ConfigError) as caught:
        parse_profile(text, "c.yaml", find)
    assert complaint in str(caught.value)
    assert str(mistakes_in(text, "c.yaml", find)[0]) == str(caught.value)


def test_a_sunspec_profile_changes_a_point_of_its_base_by_name() -> None:
    over = parse_profile(
        "based_on: sunspec\nmake: F\nsunspec: {models: {103: {points: [{name: W, key: ac_power}]}}}\n",
        "f.yaml",
        text_of,
    )
    base = profile("sunspec").sunspec
    assert base is not None
    assert over.sunspec is not None
    assert over.sunspec.models.keys() == base.models.keys()
    changed = [point for point in over.sunspec.models[103].points if point not in base.models[103].points]
    assert [(point.name, point.key, point.sf) for point in changed] == [("W", "ac_power", "W_SF")]


@pytest.mark.parametrize(
    ("entry", "words", "holds"),
    [
        ("type: text, words: 2, matches: '^GW'", b"GW10", True),
        ("type: text, words: 2, matches: '^GW'", b"SMA1", False),
        ("type: text, words: 2, matches: '^GW'", b"\0\0\0\0", False),
        ("type: text, words: 2, matches: 'None'", b"\0\0\0\0", False),
        ("type: u16, values: [71, 72]", b"\0\x48", True),
        ("type: u16, values: [71, 72]", b"\0\x49", False),
        ("type: f32, range: [45, 65]", b"\x42\x48\0\0", True),
        ("type: f32, range: [45, 65]", b"\0\0\0\0", False),
    ],
)
def test_a_device_is_known_by_what_its_registers_hold(entry: str, words: bytes, holds: bool) -> None:
    loaded = parse_profile(identified(f"{{register: 7, {entry}}}"), "meter.yaml")
    assert loaded.identify[0].block(loaded.table).address == 7
    assert loaded.identify[0].holds(words, loaded.order) is holds


EXAMPLES = re.findall(r"(?:^    .*\n|^\n(?=    ))+", (ROOT / "docs" / "profiles.md").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("example", [dedent(text) for text in EXAMPLES], ids=range(len(EXAMPLES)))
def test_the_examples_of_the_manual_are_good_profiles(example: str) -> None:
    assert len(EXAMPLES) == 3
    assert mistakes_in(example, "profiles.md", text_of) == []
