"""`push:` and `mqtt:` in the configuration."""

import re
from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from gateway.loadconfig import load_config

ROOT = Path(__file__).parents[2]
GOOD = """\
push:
  devices:
    - {name: Roof, timezone: Europe/Berlin}
mqtt:
  host: 127.0.0.1
  topics:
    - {topic: "nodes/{node}/{metric}", device: "{node}"}
"""


def write(folder: Path, text: str) -> Path:
    (folder / "site.yaml").write_text(text)
    return folder / "site.yaml"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Europe/Berlin", "Berlin", "site.yaml:3: push.devices[0].timezone: Berlin is no time zone"),
        ("{name: Roof, timezone", "{name: Roof, token", "site.yaml:3: push.devices[0].token: no such key"),
        ('device: "{node}"', 'device: "{nod}"', "site.yaml:7: mqtt.topics[0].device: {nod} is not in the topic"),
        ('"nodes/{node}/', '"nodes/node{node}/', "site.yaml:7: mqtt.topics[0].topic: expected {a_name}"),
        ('"nodes/{node}/{metric}"', '"nodes/#"', "site.yaml:7: mqtt.topics[0].topic: expected {a_name}"),
        ("{metric}", "{node}", "site.yaml:7: mqtt.topics[0].topic: a placeholder is there twice"),
        (
            "    - {name: Roof",
            "    - {name: Roof}\n    - {name: Roof",
            "site.yaml:4: push.devices[1].name: device Roof is here twice",
        ),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    load_config(write(tmp_path, GOOD))
    assert old in GOOD
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, GOOD.replace(old, new, 1)))
    assert str(raised.value).startswith(said)


def test_a_device_cannot_be_polled_and_send_under_one_name(tmp_path: Path) -> None:
    bus = "buses: [{name: b, tcp: '10.0.0.1:502', devices: [{name: Roof, profile: pzem-004t}]}]\n"
    with pytest.raises(ConfigError, match="device Roof is here twice"):
        load_config(write(tmp_path, GOOD + bus))


def test_every_example_of_the_documentation_is_good(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/push.md").read_text(), re.DOTALL)
    assert len(examples) >= 4
    for example in examples:
        load_config(write(tmp_path, example))
