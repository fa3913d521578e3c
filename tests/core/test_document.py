"""YAML in, typed values out; complaints name file, line and key."""

import re
from typing import Annotated, Literal

import msgspec
import pytest

from gateway.core import document
from gateway.core.errors import ConfigError


class Device(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    unit_id: int = 1


class Site(msgspec.Struct, forbid_unknown_fields=True):
    devices: Annotated[list[Device], msgspec.Meta(max_length=9)] = []
    spares: dict[int, Device] = {}
    label: str = ""
    comment: str | None = None
    rate: Literal[9600, 19200] | None = None
    address: Annotated[str, msgspec.Meta(pattern="^.+:[0-9]+$", description="HOST:PORT")] | None = None


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        document.convert(document.parse(text, "site.yaml"), Site)
    return str(raised.value)


def test_an_unknown_key_is_named_with_its_line_and_the_likely_word() -> None:
    text = "devices:\n  - name: a\n    unitid: 3\n"
    assert complaint(text) == "site.yaml:3: devices[0].unitid: no such key; did you mean unit_id?"


def test_a_wrong_type_says_what_was_expected() -> None:
    text = "devices:\n  - name: a\n    unit_id: three\n"
    assert complaint(text) == "site.yaml:3: devices[0].unit_id: expected a whole number, got text"


def test_an_error_inside_an_entry_of_a_mapping_names_the_entry() -> None:
    text = "spares:\n  3: {name: a}\n  4:\n    name: b\n    unitid: 3\n"
    assert complaint(text) == "site.yaml:5: spares[4].unitid: no such key; did you mean unit_id?"


def test_a_missing_key_is_named() -> None:
    assert complaint("devices:\n  - unit_id: 3\n") == "site.yaml:2: devices[0]: the key name is missing"


def test_a_key_that_is_there_twice_names_both_lines() -> None:
    assert complaint("label: a\nlabel: b\n") == "site.yaml:2: label: the key is here twice; the first is at site.yaml:1"


@pytest.mark.parametrize(
    "text",
    [
        "a: [", "\t- x", "- a\n- b\n", "just words", "a: &x [*x]", "a: !!python/none x", "\x00",
        'a: !!int ""', 'a: !!float ""', "a: !!bool x", "a: !!timestamp x", "a: 2026-13-45", "!!bool x: 1",
        "a: .nan", "a: [-.inf]", "a: " + "[" * 200_000, "{a: " * 200_000,
    ],
)  # fmt: skip
def test_what_is_not_yaml_or_no_mapping_is_refused_with_its_place(text: str) -> None:
    assert re.match(r"site\.yaml:\d: ", complaint(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("comment: 7", "comment: expected text, got a whole number"),
        ("rate: 9601", "rate: expected one of 9600, 19200, got 9601"),
        ("address: here", "address: expected HOST:PORT"),
    ],
)
def test_what_was_expected_is_said_in_our_words(text: str, said: str) -> None:
    assert complaint(text) == f"site.yaml:1: {said}"


def test_a_value_that_is_not_of_its_type_is_named() -> None:
    assert complaint('label: a\nspares: !!int ""\n') == "site.yaml:2: spares: '' is not of the type int"
    assert complaint("label: .nan\n") == "site.yaml:1: label: expected a number, got nan"


def test_an_upper_layer_wins_and_named_entries_merge() -> None:
    base = document.parse("label: base\ndevices: [{name: a, unit_id: 1}, {name: b}]\n", "site.yaml")
    over = document.parse("devices:\n  - {name: a, unit_id: 9}\n  - {name: c}\n", "site_local.yaml")
    merged = document.overlay(base, over)
    site = document.convert(merged, Site)
    assert site == Site([Device("a", 9), Device("b", 1), Device("c", 1)], label="base")
    assert merged.place_of(("devices", 0, "unit_id")) == "site_local.yaml:2"
    assert merged.place_of(("devices", 1, "name")) == "site.yaml:2"
    assert merged.place_of(("label",)) == "site.yaml:1"


def test_an_error_in_the_upper_layer_is_placed_there() -> None:
    base = document.parse("devices: [{name: a}]\n", "site.yaml")
    over = document.parse("\ndevices: [{name: a, unit_id: x}]\n", "site_local.yaml")
    with pytest.raises(ConfigError, match=r"^site_local.yaml:2: devices\[0\].unit_id"):
        document.convert(document.overlay(base, over), Site)


def test_lists_merge_by_key_where_their_entries_have_no_name() -> None:
    base = document.parse("points: [{key: a, at: 1, unit: W}, {key: b, at: 2}]\n", "base.yaml")
    over = document.parse("points: [{key: c}, {key: a, at: 9}]\n", "over.yaml")
    merged = document.overlay(base, over).plain()["points"]
    assert merged == [{"key": "a", "at": 9, "unit": "W"}, {"key": "b", "at": 2}, {"key": "c"}]


def test_all_mistakes_are_found_not_only_the_first() -> None:
    text = "devices:\n  - {name: 1, unitid: 2}\n  - {unit_id: x}\nspares: {y: {name: a}}\nlable: a\n"
    found = [str(mistake) for mistake in document.mistakes(document.parse(text, "site.yaml"), Site)]
    assert found == [
        "site.yaml:2: devices[0].name: expected text, got a whole number",
        "site.yaml:2: devices[0].unitid: no such key; did you mean unit_id?",
        "site.yaml:3: devices[1].unit_id: expected a whole number, got text",
        "site.yaml:3: devices[1]: the key name is missing",
        "site.yaml:4: spares.y: expected a whole number, got text",
        "site.yaml:5: lable: no such key; did you mean label?",
    ]


def test_a_mistake_of_a_whole_list_is_found_too() -> None:
    text = "devices: [" + ", ".join(["{name: a}"] * 10) + "]\n"
    (found,) = document.mistakes(document.parse(text, "site.yaml"), Site)
    assert str(found) == "site.yaml:1: devices: expected a list of length <= 9"


def test_aliases_of_aliases_end_where_the_values_of_a_document_end() -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="aliases"):
        document.parse("\n".join(lines), "site.yaml")
