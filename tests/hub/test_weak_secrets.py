"""A hub does not start with secrets that everybody knows, and says which, where, and what to do."""

from pathlib import Path

import pytest

from gateway.core.credential import digest
from gateway.core.errors import ConfigError
from gateway.hubapp import load_hub_config
from sync.hub.config import parse_hub_config
from sync.hub.weaksecrets import EXAMPLES, check_secrets
from tests.buffer.onfile import holdfast

EXAMPLE = Path(__file__).parents[2] / "config/hub.example.yaml"
GOOD = f"store: postgresql://hub:xK3-long@db/fleet\nnodes: [{{id: mill, secret_sha256: {digest('of the mill')}}}]\n"


def complaint(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        check_secrets(parse_hub_config(text, "hub.yaml"), text, "hub.yaml")
    return raised.value


@pytest.mark.P11
@pytest.mark.parametrize("sha256", [*map(digest, ("", "secret", "changeme", "password")), *EXAMPLES, "0" * 64])
def test_a_nodes_secret_that_everybody_knows_is_refused(sha256: str) -> None:
    error = complaint(f"store: hub.db\nnodes:\n  - id: mill\n    secret_sha256: '{sha256}'\n")
    assert str(error).startswith("hub.yaml:4: nodes[0].secret_sha256: the secret of mill is")
    assert "openssl rand" in error.hint


@pytest.mark.P11
@pytest.mark.parametrize("password", ["guest", "Secret", "our-hub", "the hub's own at the broker"])
def test_the_brokers_usual_password_is_refused(password: str) -> None:
    text = f"store: hub.db\namqp:\n  url: amqp://h/\n  username: our-hub\n  password: {password}\n"
    error = complaint(text)
    assert str(error).startswith("hub.yaml:5: amqp.password: ")
    assert password not in str(error).removeprefix("hub.yaml:5: amqp.password: ")
    assert "amqp-provision" in error.hint


@pytest.mark.P11
@pytest.mark.parametrize("password", ["guest", "its own at the broker", "boss"])
def test_the_usual_password_of_the_brokers_administrator_is_refused(password: str) -> None:
    text = (
        f"store: hub.db\namqp:\n  url: amqp://h/\n  password: xK3-long\n  management_url: http://h:15672\n"
        f"  management_username: boss\n  management_password: {password}\n"
    )
    assert str(complaint(text)).startswith("hub.yaml:7: amqp.management_password: a usual password")


@pytest.mark.P11
def test_the_usual_password_of_the_mail_server_is_refused() -> None:
    smtp = "{host: h, sender: a@b.c, username: hub, password: changeme}"
    assert "alerts.smtp.password: a usual password" in str(complaint(f"store: hub.db\nalerts:\n  smtp: {smtp}\n"))


@pytest.mark.P11
@pytest.mark.parametrize("url", ["postgresql://hub:hub@db/fleet", "postgres://a:changeme@db/f", "postgresql://a:@db/f"])
def test_the_databases_usual_password_is_refused(url: str) -> None:
    assert str(complaint(f"store: {url}\n")).startswith("hub.yaml:1: store: a usual password")


def test_secrets_of_ones_own_are_taken(tmp_path: Path) -> None:
    check_secrets(parse_hub_config(GOOD, "hub.yaml"), GOOD, "hub.yaml")
    (tmp_path / "hub.yaml").write_text(GOOD)
    assert load_hub_config(tmp_path / "hub.yaml").nodes[0].id == "mill"


@pytest.mark.P11
def test_the_example_itself_starts_no_hub() -> None:
    with pytest.raises(ConfigError, match="of an example"):
        load_hub_config(EXAMPLE)


def test_a_file_with_the_old_password_says_what_comes_instead() -> None:
    with pytest.raises(ConfigError, match=r"hub.yaml:2: password_sha256: .*sign in with their names") as raised:
        parse_hub_config(f"store: hub.db\npassword_sha256: {digest('x')}\n", "hub.yaml")
    assert "take the line out" in raised.value.hint


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hub.yaml:2: people.proxies\[1\]: proxy.example is no address"):
        parse_hub_config("store: hub.db\npeople: {proxies: [10.0.0.0/8, proxy.example]}\n", "hub.yaml")


async def test_who_is_locked_out_gets_a_new_password_on_the_hubs_machine(tmp_path: Path) -> None:
    hub_yaml = tmp_path / "hub.yaml"
    hub_yaml.write_text("store: hub.db\n")
    code, _, err = await holdfast("hub", "password", "admin", "--config", hub_yaml)
    assert (code, "there is no person admin" in err) == (2, True)
    from sync.hub.people.people import People
    from sync.hub.store.opening import open_store
    from tests.hub.signed import EVERYTHING, QUICK

    store = await open_store("hub.db", tmp_path)
    assert await People(store.sql, QUICK).add("admin", "the lost one", EVERYTHING, 0)
    await store.close()
    code, told, _ = await holdfast("hub", "password", "admin", "--config", hub_yaml)
    assert code == 0
    store = await open_store("hub.db", tmp_path)
    try:
        assert await People(store.sql, QUICK).matches("admin", told.split()[-1])
        assert not await People(store.sql, QUICK).matches("admin", "the lost one")
    finally:
        await store.close()
