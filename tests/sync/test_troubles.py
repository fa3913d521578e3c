"""What hinders on the way to the hub, in words for the operator."""

import errno
import socket
import ssl

import aiohttp
import pytest

from gateway.core.errors import PushError
from sync.edge.troubles import explained


def certificate(code: int) -> Exception:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, "not verified"
    key: object = None
    return aiohttp.ClientConnectorCertificateError(key, error)  # type: ignore[arg-type]  # the words need none


def test_an_address_without_tls_is_doubted_where_the_hub_hangs_up() -> None:
    assert "https://" in explained(aiohttp.ServerDisconnectedError(), "http://hub", None, 1000).hint
    assert "https://" not in explained(aiohttp.ServerDisconnectedError(), "https://hub", None, 1000).hint


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aiohttp.ClientOSError(errno.ETIMEDOUT, "Connection timed out"), "nobody answers; check the network"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset"), "the connection was cut; check the network"),
        (ConnectionResetError(), "the connection was cut; check the network"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "there is no way there; check the network's cable"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "there is no way there"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "is not found; check the host in hub.url"),
        (aiohttp.ConnectionTimeoutError(), "no answer in time"),
        (aiohttp.ServerDisconnectedError(), "the connection was cut before the whole answer came"),
        (aiohttp.InvalidURL("http://["), "not an address that can be used"),
        (certificate(9), "is not valid yet, or this machine's clock is wrong (it says 1970-01-01); where"),
        (certificate(10), "has expired, or this machine's clock is wrong (it says 1970-01-01); where"),
        (certificate(18), "signed by nobody whom this machine trusts"),
        (certificate(64), "another host's"),
        (certificate(23), "the certificate there is not good (not verified)"),
    ],
)  # fmt: skip
def test_each_says_what_it_is_and_what_to_do(error: Exception, words: str) -> None:
    said: PushError = explained(error, "https://hub", None, 1000)
    assert str(said).startswith("https://hub: ")
    assert words in f"{said}; {said.hint}"
    assert said.hint
