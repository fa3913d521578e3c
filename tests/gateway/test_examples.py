"""What we show of settings is whole, and can be used."""

import re
from pathlib import Path

import msgspec

from gateway.config import AmqpLink, HubLink
from gateway.core import document
from gateway.loadconfig import load_config
from sync.hub.alertconfig import AlertsConfig, SmtpConfig
from sync.hub.config import AmqpConfig, HubConfig, NodeConfig, PeopleConfig, parse_hub_config

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config/hub.example.yaml").read_text()
SITE = re.findall(r"```yaml\n(hub:.*?)```", (ROOT / "docs/sync.md").read_text(), re.DOTALL)[0]


def keys(kind: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(kind)}


def test_the_example_of_a_hub_has_every_setting() -> None:
    parse_hub_config(EXAMPLE, "hub.yaml")
    shown = document.parse(EXAMPLE, "hub.yaml").plain()
    assert shown.keys() == keys(HubConfig)
    assert shown["nodes"][0].keys() == keys(NodeConfig)
    assert shown["amqp"].keys() == keys(AmqpConfig)
    assert shown["alerts"].keys() == keys(AlertsConfig)
    assert shown["alerts"]["smtp"].keys() == keys(SmtpConfig)
    assert shown["people"].keys() == keys(PeopleConfig)


def test_what_the_example_gives_for_alerts_is_what_counts_without_it() -> None:
    shown = parse_hub_config(EXAMPLE, "hub.yaml").alerts
    assert msgspec.structs.replace(shown, smtp=None) == AlertsConfig()


def test_the_document_on_sync_shows_every_setting_of_the_way_to_the_hub() -> None:
    link = document.parse(SITE, "site.yaml").plain()["hub"]
    assert link.keys() == keys(HubLink)
    assert link["amqp"].keys() == keys(AmqpLink)


def test_the_settings_that_it_shows_can_be_used(tmp_path: Path) -> None:
    usable = [line for line in SITE.splitlines() if "tls_ca:" not in line]  # these name files
    (tmp_path / "site.yaml").write_text("\n".join([*usable, "buses: []"]))
    assert load_config(tmp_path / "site.yaml")[0].hub is not None
