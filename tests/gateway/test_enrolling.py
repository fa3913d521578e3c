"""`holdfast enrol`, before it asks any hub."""

from pathlib import Path

import pytest

from tests.gateway.test_cli import holdfast

SITE = "site: {name: Mill}\nbuses: []\n"
ASKED = ("enrol", "ACDE-FGHJ-KMNP-QRTU", "--hub", "https://127.0.0.1:1", "--config")


@pytest.mark.parametrize("given", ["abc", "", "zz" * 32, "AB:" * 31 + "A"])
async def test_what_is_no_fingerprint_is_named_with_how_one_is_made(tmp_path: Path, given: str) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    code, _, err = await holdfast(*ASKED, str(tmp_path / "site.yaml"), "--tls-fingerprint", given)
    assert code == 2
    assert "--tls-fingerprint" in err
    assert "openssl x509" in err
    assert not (tmp_path / "site_hub.yaml").exists()


async def test_a_gateway_may_be_told_how_to_reach_a_hub_before_it_has_one(tmp_path: Path) -> None:
    """As the site.yaml of a gateway that is replaced, after a roll-out over its `hub:`."""
    site = tmp_path / "site.yaml"
    site.write_text(SITE + "hub: {heartbeat_s: 30}\n")
    code, _, err = await holdfast(*ASKED, str(site))
    assert code == 1
    assert "nothing listens there" in err
    site.write_text(SITE + "hub: {heartbeats: 30}\n")
    code, _, err = await holdfast(*ASKED, str(site))
    assert code == 2
    assert "site.yaml:3: hub.heartbeats" in err


async def test_a_gateway_that_has_a_hub_says_of_which_it_is_a_node(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE + "hub: {url: 'https://hub', node_id: mill, secret: a secret of this test}\n")
    code, _, err = await holdfast(*ASKED, str(site))
    assert code == 2
    assert "this gateway is node mill of https://hub already" in err


async def test_a_fingerprint_is_taken_as_openssl_prints_it(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    fingerprint = ":".join(["AB"] * 32)
    code, _, err = await holdfast(*ASKED, str(tmp_path / "site.yaml"), "--tls-fingerprint", fingerprint)
    assert code == 1
    assert "nothing listens there" in err
