"""Which new passwords people may take."""

import pytest

from sync.hub.people.passwords import check_new, generated


@pytest.mark.P11
@pytest.mark.parametrize(
    "password",
    ["short", "x" * 257, "aaaaaaaaaaaaaaa", "passwordpassword", "Passw0rd1234", "123456789012", "qwertyuiop1234",
     "administrator", "AdminAdmin2026", "holdfast-2026!", "letmeinletmein", "secretsecret1", "abcdefgh1234",
     "ann.fox.2026"],
)  # fmt: skip
def test_what_guessers_begin_with_is_no_password(password: str) -> None:
    with pytest.raises(ValueError, match="password"):
        check_new(password, "ann.fox")


@pytest.mark.parametrize("password", ["correct horse battery staple", "my password is a long river", generated()])
def test_what_is_long_and_ones_own_is_one(password: str) -> None:
    check_new(password, "ann.fox")
