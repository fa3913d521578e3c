"""The layers of the configuration, and what is said of a wrong one."""

from pathlib import Path

import pytest

from gateway.app import Plan
from gateway.core.errors import ConfigError
from gateway.loadconfig import load_config

ROOT = Path(__file__).parents[2]
GOOD = """\
site: {name: Mill}
hub: {url: "https://hub.example", node_id: mill}
buses:
  - name: cabinet
    tcp: 10.0.0.1:502
    devices:
      - {name: Meter, profile: eastron-sdm630}
"""
LOCAL = "hub: {secret: at-least-sixteen-characters}\n"


def write(folder: Path, text: str = GOOD, local: str = LOCAL) -> Path:
    (folder / "site.yaml").write_text(text)
    (folder / "site_local.yaml").write_text(local)
    return folder / "site.yaml"


def complaint(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        Plan(path)
    return str(raised.value)


def test_the_local_layer_goes_before_the_sites(tmp_path: Path) -> None:
    local = LOCAL + "buses:\n  - name: cabinet\n    devices:\n      - {name: Meter, poll_s: 1}\n"
    config, document = load_config(write(tmp_path, local=local))
    assert config.hub is not None
    assert config.buses[0].devices[0].poll_s == 1
    assert config.buses[0].devices[0].profile == "eastron-sdm630"
    assert document.place_of(("hub", "secret")) == "site_local.yaml:1"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("profile: e", "profil: e", "site.yaml:7: buses[0].devices[0].profil: no such key; did you mean profile?"),
        ("eastron-sdm630", "eastron", "site.yaml:7: buses[0].devices[0].profile: there is no profile eastron"),
        ("10.0.0.1:502", "10.0.0.1", "site.yaml:5: buses[0].tcp: "),
        (
            "profile: eastron-sdm630",
            "profile: eastron-sdm630, unit_id: 300",
            "site.yaml:7: buses[0].devices[0].unit_id: ",
        ),
        (
            "- {name: M",
            "- {name: Meter, profile: pzem-004t}\n      - {name: M",
            "site.yaml:8: buses[0].devices[1].name: ",
        ),
        ("site: {name: Mill}", "page: {host: 0.0.0.0}", "site.yaml:1: page.host: 0.0.0.0 can be reached by others"),
        ("site: {name: Mill}", "site: {name: 7}", "site.yaml:1: site.name: expected text, got a whole number"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    assert complaint(write(tmp_path, GOOD.replace(old, new))).startswith(said)


def test_what_is_wrong_in_the_local_layer_is_placed_there(tmp_path: Path) -> None:
    assert complaint(write(tmp_path, local="hub:\n  secret: short\n")).startswith("site_local.yaml:2: hub.secret: ")


def test_a_name_that_is_there_twice_is_not_lost_when_layers_merge(tmp_path: Path) -> None:
    twice = GOOD + "      - {name: Meter, profile: pzem-004t}\n"
    local = LOCAL + "buses: [{name: cabinet, devices: [{name: Meter, poll_s: 1}]}]\n"
    assert "Meter is here twice" in complaint(write(tmp_path, twice, local))


@pytest.mark.parametrize("more", ["open: true", f"password_sha256: {'a' * 64}"])
def test_a_page_for_others_needs_a_password_or_the_word_that_it_is_open(tmp_path: Path, more: str) -> None:
    plan = Plan(write(tmp_path, GOOD + f"page: {{host: 0.0.0.0, {more}}}\n"))
    assert plan.config.page.host == "0.0.0.0"


def test_two_buses_cannot_share_an_endpoint(tmp_path: Path) -> None:
    twice = GOOD + "  - {name: other, tcp: 10.0.0.1:502, devices: [{name: B, profile: pzem-004t}]}\n"
    assert "is the place of cabinet already" in complaint(write(tmp_path, twice))


def test_an_own_profile_goes_before_a_shipped_one_and_its_errors_name_both_files(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/eastron-sdm630.yaml").write_text("make: x\nmodell: y\n")
    said = complaint(write(tmp_path))
    assert said.startswith(
        "site.yaml:7: buses[0].devices[0].profile: eastron-sdm630.yaml:2: modell: no such key; did you mean model?"
    )


def test_a_profile_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/eastron-sdm630.yaml").write_bytes(b"make: \xff\n")
    assert (
        complaint(write(tmp_path))
        == "site.yaml:7: buses[0].devices[0].profile: eastron-sdm630.yaml: cannot be read: not UTF-8"
    )


@pytest.mark.parametrize("name", ["x" * 300, '"\\0"'])
def test_a_profile_whose_name_no_file_can_have_is_named(tmp_path: Path, name: str) -> None:
    assert complaint(write(tmp_path, GOOD.replace("eastron-sdm630", name))).startswith("site.yaml:7: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.yaml: cannot be read" in complaint(tmp_path / "nowhere.yaml")


def test_the_demonstrations_configuration_is_good(tmp_path: Path) -> None:
    plan = Plan(write(tmp_path, (ROOT / "config/demo/site.yaml").read_text()))
    assert len(plan.profiles) == 5
