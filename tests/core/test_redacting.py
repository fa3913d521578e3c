"""No secret leaves in a configuration, and each finds its way back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.document import parse
from gateway.core.errors import ConfigError
from gateway.core.redacting import KEPT, canonical, filled, in_clear, leaves, redacted, text_of

SITE = """
# password: of the comment
hub: {url: "https://ann:hunter2@hub.example/x", secret: the hub's own secret, node_id: mill}
mqtt: {password: &p 123456, username: ann, client_id: *p}
buses:
  - {name: one, tcp: "h:1", devices: [{name: meter, profile: x}]}
  - {name: two, selectlive: {password: of two, email: a@b}, devices: [{name: sp, profile: y}]}
"""


def redone(text: str, present: str = SITE) -> dict[str, object]:
    return dict(leaves(filled(parse(text, "site.yaml"), parse(present, "site.yaml"))))


@pytest.mark.P11
def test_what_leaves_has_no_secret_and_no_comment_and_says_all_the_rest() -> None:
    text = canonical(parse(SITE, "site.yaml"))
    for secret in ("hunter2", "the hub's own secret", "of two", "of the comment"):
        assert secret not in text
    found = dict(leaves(parse(text, "site.yaml")))
    assert found["hub.secret"] == found["mqtt.password"] == found["buses[two].selectlive.password"] == KEPT
    assert found["hub.url"] == f"https://{KEPT}@hub.example/x"
    assert (found["hub.node_id"], found["buses[one].devices[meter].profile"]) == ("mill", "x")


@pytest.mark.P11
@pytest.mark.parametrize(
    "value", ["http://u:p/w@h:1", "http://:pw@h", "https://h/x?token=pw", "amqp://h/?a=1&password=pw#x"]
)
def test_an_address_goes_without_the_sign_in_that_is_in_it(value: str) -> None:
    document = redacted(parse(f'hub: {{url: "{value}"}}', "site.yaml"))
    text = text_of(document)
    assert "pw" not in text
    assert "p/w" not in text
    assert redacted(document) == document


def test_what_is_kept_on_site_comes_from_the_site_by_the_names_of_the_entries() -> None:
    text = canonical(parse(SITE, "site.yaml"))
    assert redone(text) == dict(leaves(parse(SITE, "site.yaml")))
    turned = f"buses: [{{name: two, selectlive: {{password: {KEPT}}}}}, {{name: one, tcp: 'h:2'}}]"
    assert redone(turned)["buses[two].selectlive.password"] == "of two"


@pytest.mark.parametrize(
    "text",
    [f"mqtt: {{username: {KEPT}}}", f"page: {{password_sha256: {KEPT}}}", f"buses: [{{name: three, x: {KEPT}}}]",
     f"hub: {{url: 'https://{KEPT}@evil.example/x'}}", f"site: {KEPT}", f"hub: [{KEPT}]"],
)  # fmt: skip
def test_what_is_not_there_cannot_be_kept_and_no_secret_gets_to_another_key(text: str) -> None:
    with pytest.raises(ConfigError, match="nothing on the site that could be kept"):
        redone(text)


def test_secrets_in_clear_are_named_by_their_paths() -> None:
    assert in_clear(parse(SITE, "site.yaml")) == [
        "hub.url",
        "hub.secret",
        "mqtt.password",
        "buses[two].selectlive.password",
    ]
    assert in_clear(parse(canonical(parse(SITE, "site.yaml")), "site.yaml")) == []
    assert in_clear(parse("page: {password_sha256: null}", "site.yaml")) == []
    assert in_clear(parse("hub: {secret: {a: 1}}", "site.yaml")) == ["hub.secret.a"]


keys = st.sampled_from(["a", "name", "secret"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("ab@:/? ", max_size=8) | st.just("http://a:b@c?d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@example({"a": [{"name": "http://a:b@c?d", "secret": "s"}, {"name": "b"}]})
@given(st.dictionaries(st.sampled_from(["a", "b", "password"]), values))
def test_redacting_again_changes_nothing_and_filling_gives_back_what_was_there(content: dict[str, object]) -> None:
    import yaml

    document = parse(yaml.safe_dump(content), "site.yaml")
    once = redacted(document)
    assert redacted(once) == once
    assert filled(once, document).plain() == document.plain()
