"""What is said of a broker that cannot be used, in site.yaml and in hub.yaml."""

from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from sync.hub.config import parse_hub_config
from tests.gateway.test_config import complaint, write

SITE = """\
hub:
  url: https://hub.example
  node_id: mill
  {what}
buses: []
"""
HUB = f"""\
store: hub.db
nodes:
  - {{id: mill, secret_sha256: {"ab" * 32}}}
amqp: {{url: "amqps://broker.example", password: a password}}
"""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("transport: amqp", "site.yaml:4: hub.transport: amqp needs a broker"),
        ("transport: auto", "site.yaml:4: hub.transport: auto needs a broker"),
        ("amqp: {url: 'https://broker.example'}", "site.yaml:4: hub.amqp.url: expected amqp(s)://"),
        ("amqp: {url: 'amqp://:5672'}", "site.yaml:4: hub.amqp.url: "),
        ("amqp: {url: 'amqps://node:secret@broker.example'}", "site.yaml:4: hub.amqp.url: "),
        ("amqp: {url: 'amqps://broker.example', tls_ca: missing.pem}", "site.yaml:4: hub.amqp.tls_ca: "),
    ],
)
def test_a_broker_that_cannot_be_used_is_said_at_the_start(tmp_path: Path, what: str, said: str) -> None:
    assert complaint(write(tmp_path, SITE.format(what=what))).startswith(said)


@pytest.mark.parametrize("what", ["tls_ca: ca.pem", f"tls_fingerprint: {'ab' * 32}"])
def test_who_names_the_hubs_certificate_does_not_send_the_secret_without_tls(tmp_path: Path, what: str) -> None:
    text = SITE.replace("https:", "http:").format(what=what)
    assert complaint(write(tmp_path, text)).startswith(f"site.yaml:4: hub.{what.partition(':')[0]}: hub.url is http://")


def test_a_hub_may_have_a_broker_and_a_user_of_its_own_there() -> None:
    config = parse_hub_config(HUB, "hub.yaml")
    assert config.amqp is not None
    assert config.amqp.username == "hub"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("id: mill", "id: hub", "hub.yaml:3: nodes[0].id: hub is the hub's own user at the broker"),
        ("amqps://", "https://", "hub.yaml:4: amqp.url: expected amqp(s)://"),
        (", password: a password", "", "hub.yaml:4: amqp"),
    ],
)
def test_a_hubs_broker_that_cannot_be_used_is_said_at_the_start(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_hub_config(HUB.replace(old, new), "hub.yaml")
    assert str(raised.value).startswith(said)
