"""Addresses, as people write them."""

import pytest

from drivers.modbus.links import host_and_port
from gateway.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("h", ("h", 502)),
        ("h:1502", ("h", 1502)),
        ("::1", ("::1", 502)),
        ("[::1]", ("::1", 502)),
        ("[::1]:1502", ("::1", 1502)),
        ("fe80::1%eth0", ("fe80::1%eth0", 502)),
    ],
)
def test_a_host_may_lack_its_port_where_there_is_a_usual_one(text: str, meant: tuple[str, int]) -> None:
    assert host_and_port(text, 502) == meant


@pytest.mark.parametrize(
    "text",
    ["", ":502", "h", "h:", "h:0", "h:65536", "h:\u00b2", "h:" + "1" * 5000, "a..b:502", "a" * 64 + ":502", "\0:1"],
)
def test_what_is_no_host_with_a_port_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        host_and_port(text)


def test_only_what_is_listened_on_may_be_port_0() -> None:
    assert host_and_port("127.0.0.1:0", port_min=0) == ("127.0.0.1", 0)
