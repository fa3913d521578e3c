"""`holdfast profile`: whether a profile is good, which there are, and their schema."""

import json
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.catalogue import schema
from gateway.cli import main
from gateway.profiles import profile_names

METER = """\
make: Example
model: EM-3
source: a list
licence: fact
groups: {slow: {every_s: 60}}
points:
  - {key: power, register: 0, type: i16, write: {min: 0, max: 9, memory: stored}}
  - {key: current, register: 60, type: u16}
  - {key: serial, register: 900, type: text, words: 4, group: slow}
"""


def profile_command(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["profile", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def written(folder: Path, text: str, name: str = "meter.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_good_profile_says_what_it_offers_and_how_it_is_polled(tmp_path: Path) -> None:
    file = written(tmp_path, METER)
    code, out, _ = profile_command("check", file)
    assert code == 0
    assert out.splitlines() == [
        f"{file}: good",
        "  Example EM-3, role other",
        "  3 points in 2 groups",
        "    live: 2 points, blocks per poll: 2 (holding 0-0, holding 60-60)",
        "    slow: 1 points, blocks per poll: 1 (holding 900-903)",
        "  1 can be written",
        "  not proven: proven_by names no recording",
    ]


def test_everything_that_is_wrong_is_explained_and_ends_with_2(tmp_path: Path) -> None:
    wrong = METER.replace("type: u16", "type: u17").replace("every_s: 60", "every_s: 0").replace("source: a list\n", "")
    code, out, err = profile_command("check", written(tmp_path, wrong))
    assert (code, out) == (2, "")
    complaints = [line.strip() for line in err.splitlines()]
    assert complaints[0].endswith("meter.yaml: 3 mistakes")
    assert [complaint.split(": ")[:2] for complaint in complaints[1:4]] == [
        ["meter.yaml:4", "groups.slow.every_s"],
        ["meter.yaml:7", "points[1].type"],
        ["meter.yaml:1", "(top)"],
    ]


def test_a_base_is_found_beside_the_file_and_among_what_is_shipped(tmp_path: Path) -> None:
    written(tmp_path, METER)
    assert profile_command("check", written(tmp_path, "based_on: meter\nmake: Other\n", "other.yaml"))[0] == 0
    code, out, _ = profile_command("check", written(tmp_path, "based_on: sunspec\nmake: Other\n", "chain.yaml"))
    assert code == 0
    assert "not proven" in out


def test_a_profile_is_proven_only_by_a_recording_that_is_there(tmp_path: Path) -> None:
    file = written(tmp_path, METER + "proven_by: example/em3.json\n")
    assert (
        "not proven: proven_by names example/em3.json, and there is no such file" in profile_command("check", file)[1]
    )
    (tmp_path / "example").mkdir()
    (tmp_path / "example/em3.json").touch()
    assert "  proven by example/em3.json, as it says" in profile_command("check", file)[1].splitlines()


def test_every_shipped_profile_is_listed_and_good() -> None:
    code, out, _ = profile_command("list", "--json")
    assert code == 0
    assert [entry["name"] for entry in json.loads(out)] == profile_names()
    assert set(json.loads(out)[0]) == {"name", "make", "model", "points", "writable", "proven"}
    table = profile_command("list")[1]
    assert all(name in table for name in profile_names())


@pytest.mark.parametrize("name", profile_names())
def test_a_shipped_profile_passes_the_check(name: str) -> None:
    assert profile_command("check", str(resources.files("config").joinpath(f"profiles/{name}.yaml")))[0] == 0


def test_the_shipped_schema_is_that_of_the_code() -> None:
    shipped = resources.files("config").joinpath("profiles/profile.schema.json").read_text(encoding="utf-8")
    assert shipped == schema(), "write it anew: holdfast profile schema > config/profiles/profile.schema.json"
    assert profile_command("schema")[1] == shipped


def test_only_a_profile_that_stands_alone_must_say_everything() -> None:
    parts = json.loads(schema())["$defs"]
    assert parts["Profile"]["required"] == []
    assert parts["Profile"]["then"]["required"] == ["make", "model", "source", "licence"]
    assert parts["PointSpec"]["required"] == ["key"]
    assert parts["PointSpec"]["properties"]["register"]["description"] == "0-based, as on the wire"
