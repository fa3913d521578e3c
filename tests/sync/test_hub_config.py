"""What the hub's file may say."""

import pytest

from gateway.core.errors import ConfigError
from sync.hub.config import parse_hub_config


@pytest.mark.P11
@pytest.mark.parametrize("given", ["tls_cert", "tls_key"])
def test_half_of_a_certificate_is_complained_about_and_never_plain_http_instead(given: str) -> None:
    with pytest.raises(ConfigError, match=f"^hub.yaml:2: {given}: of no use without tls_"):
        parse_hub_config(f"store: hub.db\n{given}: hub.pem\n", "hub.yaml")
    both = parse_hub_config("store: hub.db\ntls_cert: hub.pem\ntls_key: hub.key\n", "hub.yaml")
    assert (both.tls_cert, both.tls_key) == ("hub.pem", "hub.key")


@pytest.mark.parametrize("url", ["amqp://[", "amqp://h:99999", "amqp://h:x"])
@pytest.mark.parametrize("name", ["url", "management_url"])
def test_an_address_of_the_broker_that_is_none_is_told_with_its_place(name: str, url: str) -> None:
    url = url if name == "url" else url.replace("amqp", "http")
    addresses = {"url": "amqp://h", "management_url": "http://h", name: url}
    written = "".join(f"  {key}: '{value}'\n" for key, value in addresses.items())
    with pytest.raises(ConfigError, match=rf"hub.yaml:[34]: amqp.{name}: .* is no address"):
        parse_hub_config(f"store: hub.db\namqp:\n{written}  password: x\n", "hub.yaml")


def test_an_address_of_another_database_is_not_taken_for_a_file() -> None:
    with pytest.raises(ConfigError, match=r"^hub.yaml:1: store: mysql is no store of the hub"):
        parse_hub_config("store: mysql://hub@db.example/fleet\n", "hub.yaml")


def test_minutes_are_not_kept_for_less_than_what_they_are_made_of() -> None:
    with pytest.raises(ConfigError, match=r"^hub.yaml:2: retention.minute_days: fewer than raw_days"):
        parse_hub_config("store: hub.db\nretention: {raw_days: 400}\n", "hub.yaml")


@pytest.mark.P11
def test_no_password_is_sent_to_a_mail_server_in_plain() -> None:
    smtp = "store: hub.db\nalerts:\n  smtp:\n    host: mail\n    sender: a@b.example\n"
    parse_hub_config(smtp + "    security: none\n", "hub.yaml")
    with pytest.raises(ConfigError, match=r"^hub.yaml:6: alerts.smtp.security: a password that would"):
        parse_hub_config(smtp + "    security: none\n    username: u\n    password: p\n", "hub.yaml")
    with pytest.raises(ConfigError, match=r"alerts.smtp: username and password go together"):
        parse_hub_config(smtp + "    username: u\n", "hub.yaml")
