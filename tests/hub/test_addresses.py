"""Where a request comes from, behind proxies and behind those who only say so."""

import pytest

from sync.hub.people.addresses import Addresses, household

PROXIES = ("10.0.0.0/8", "fd00::1")


@pytest.mark.P11
@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: it says what it likes
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),  # what the sender itself has put before
        ("10.0.0.1", ["127.0.0.1", "198.51.100.1, 10.0.0.7"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::5"], "2001:db8::5"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        (None, ["198.51.100.1"], ""),
    ],
)
def test_only_proxies_of_ours_say_who_somebody_is(remote: str | None, forwarded: list[str], address: str) -> None:
    assert Addresses(PROXIES).of(remote, forwarded) == address


def test_who_has_one_address_of_the_new_kind_has_many() -> None:
    assert household("2001:db8::1") == household("2001:db8::ffff:2") != household("2001:db8:0:1::1")
    assert household("203.0.113.9") == "203.0.113.9"
    assert household("::ffff:203.0.113.9") != household("::ffff:203.0.113.8")
    assert household("") == ""
