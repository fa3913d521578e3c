"""What a gateway tells of its configuration: every value with its layer, and no secret of any kind."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from gateway import config as declared
from gateway.configreport import BYTES_MAX, describe, digest
from gateway.core.redacting import KEPT, is_secret

SITE = """
site: {name: Mill}
page: {port: 8081}
hub: {url: "http://user:hunter2@hub", node_id: mill, secret: a secret of site.yaml}
buses: [{name: one, tcp: "10.0.0.7:502", devices: [{name: meter, profile: x, poll_s: 1}, {name: pv, profile: x}]}]
"""
LOCAL = """
hub: {secret: a secret of the installer}
buses: [{name: one, tcp: "10.0.0.8:502"}]
"""


def told(folder: Path, site: str = SITE, local: str = LOCAL) -> dict[str, tuple[object, str]]:
    (folder / "site.yaml").write_text(site)
    (folder / "site_local.yaml").write_text(local)
    return {one.key: (one.value, one.layer) for one in describe(folder / "site.yaml").values}


def test_each_value_comes_with_the_layer_that_it_is_of(tmp_path: Path) -> None:
    found = told(tmp_path)
    assert found["site.name"] == ("Mill", "site")
    assert found["site.timezone"] == ("UTC", "default")
    assert found["hub.secret"] == (KEPT, "local")
    assert found["hub.url"] == (f"http://{KEPT}@hub", "site")
    assert found["buses[one].tcp"] == ("10.0.0.8:502", "local")
    assert found["buses[one].devices[meter].poll_s"] == (1, "site")
    assert found["buses[one].devices[pv].poll_s"] == (None, "default")
    assert found["mqtt"] == (None, "default")


@pytest.mark.P11
def test_no_secret_of_any_layer_is_told(tmp_path: Path) -> None:
    told(tmp_path)
    report = msgspec.json.encode(describe(tmp_path / "site.yaml"))
    for secret in (b"hunter2", b"a secret of site.yaml", b"a secret of the installer"):
        assert secret not in report


def fields(kind: Any) -> list[msgspec.structs.FieldInfo]:
    """Every field of a struct, and of those within it."""
    structs = [kind] if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else []
    found = [field for struct in structs for field in msgspec.structs.fields(struct)]
    inner = [field.type for field in found] if structs else list(get_args(kind))
    return found + [field for part in inner for field in fields(part)]


# What has a name or a form that sounds of secrets, and is none.
OPEN = {"key", "keys", "unit_id", "tls_fingerprint", "node_id", "client_id"}


@pytest.mark.P11
def test_every_field_of_the_configuration_that_may_be_a_secret_is_redacted() -> None:
    secrets = {field.name for field in fields(declared.Config) if is_secret(field.name)}
    assert secrets == {"password_sha256", "secret", "password", "token_sha256", "device_id"}
    suspects = {
        field.name for field in fields(declared.Config)
        if any(part in field.name for part in ("key", "_id", "sha", "hash", "finger", "auth", "sign", "salt"))
        or field.type in (declared.Sha256, declared.Sha256 | None)
    }  # fmt: skip
    assert suspects - secrets <= OPEN


def test_the_digest_is_of_what_is_in_effect_whichever_file_it_stands_in(tmp_path: Path) -> None:
    told(tmp_path)
    before = describe(tmp_path / "site.yaml")
    told(tmp_path, local=LOCAL + "site: {timezone: Europe/Berlin}\n")
    after = describe(tmp_path / "site.yaml")
    assert before.sha256 == after.sha256
    assert digest(before) != digest(after)


def test_a_configuration_beyond_all_bounds_says_so_instead(tmp_path: Path) -> None:
    devices = "".join(f"    - {{name: device {number}, profile: x}}\n" for number in range(6000))
    told(tmp_path, f"buses:\n- name: one\n  tcp: h:1\n  devices:\n{devices}", local="")
    report = describe(tmp_path / "site.yaml")
    assert "too large to be told" in report.cut
    assert len(msgspec.msgpack.encode(report)) < BYTES_MAX
