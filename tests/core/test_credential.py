"""Secrets, as headers bring them."""

import pytest

from gateway.core.credential import basic_password, digest, matches

NOT_UTF_8 = b"\xff".decode(errors="surrogateescape")  # as aiohttp hands on a header


@pytest.mark.P11
@pytest.mark.parametrize("secret", [NOT_UTF_8, "\ud800", "wrong", ""])
def test_what_is_not_the_secret_does_not_match_whatever_it_is_made_of(secret: str) -> None:
    assert not matches(secret, digest("the secret"))
    assert not matches(secret, None)


def test_a_secret_beyond_ascii_matches_itself() -> None:
    assert matches("Schlüssel", digest("Schlüssel"))


@pytest.mark.parametrize("encoded", ["é", NOT_UTF_8, "/w==", "%", "YTpi"[:3]])
def test_what_is_no_basic_authorization_has_no_password(encoded: str) -> None:
    assert basic_password(f"Basic {encoded}") == ""
