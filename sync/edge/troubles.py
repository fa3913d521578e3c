"""Why no answer came from the hub, in plain words, and what to do about it."""

import asyncio
import errno
import socket
import ssl
from datetime import UTC, datetime

import aiohttp

from gateway.core.errors import PushError

# X509_V_ERR_... of OpenSSL, x509_vfy.h
NOT_YET_VALID, EXPIRED, NAMES = 9, 10, (62, 64)  # host name, IP address
UNKNOWN_SIGNERS = (18, 19, 20, 21)
NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
CUT = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)
AWAY = "check the network; it is tried again by itself"


def explained(error: Exception, hub: str, proxy: str | None, now_ms: int) -> PushError:
    """`error` of aiohttp or of the system, met on the way to `hub`; `now_ms`: what the machine's clock says."""
    words, hint = _words(error, proxy, now_ms)
    if hub.startswith("http://") and isinstance(error, aiohttp.ServerDisconnectedError | ConnectionResetError):
        hint = f"where the hub speaks TLS, hub.url is https://; else {hint}"  # it ends what it cannot read
    return PushError(f"{hub}: {words}", hint=hint)


def _words(error: Exception, proxy: str | None, now_ms: int) -> tuple[str, str]:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            said = _certificate(error.certificate_error, now_ms)
        case aiohttp.ServerFingerprintMismatch():
            said = (
                f"another certificate than the one that is expected; this one's fingerprint is {error.got.hex()}",
                "where the hub's certificate was renewed, set hub.tls_fingerprint anew; else somebody stands between",
            )
        case aiohttp.ClientSSLError() | ssl.SSLError():
            said = f"no TLS can be spoken there ({_reason(error)})", "check scheme and port in hub.url"
        case aiohttp.ClientHttpProxyError():
            who = "wants to be signed in to" if error.status == 407 else "does not let us through"
            said = f"the proxy {who} ({error.status})", "check hub.proxy, or HTTPS_PROXY of the gateway's service"
        case aiohttp.ClientProxyConnectionError():
            words, hint = _system(error.os_error)
            which = proxy.rpartition("@")[2] if proxy else "of the environment"  # not its password
            said = f"the proxy {which} is not reached: {words}", f"check hub.proxy; {hint}"
        case aiohttp.ClientConnectorError():
            said = _system(error.os_error, error.host)
        case asyncio.TimeoutError():
            said = "no answer in time: the network is down, very slow, or drops what we send", AWAY
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            said = "the connection was cut before the whole answer came", AWAY
        case aiohttp.InvalidURL() | ValueError():
            said = "not an address that can be used", "check hub.url and hub.proxy, or HTTPS_PROXY of the service"
        case OSError():
            said = _system(error)
        case _:
            said = f"not HTTP as it should be ({_reason(error)})", "check hub.url: something else than a hub answers"
    return said


def _certificate(error: Exception, now_ms: int) -> tuple[str, str]:
    code = getattr(error, "verify_code", 0)
    if code in (NOT_YET_VALID, EXPIRED):
        today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
        state = "has expired" if code == EXPIRED else "is not valid yet"
        return (
            f"the hub's certificate {state}, or this machine's clock is wrong (it says {today})",
            "where the date is wrong, let the machine reach a time server (NTP), or set the clock; "
            "else renew the hub's certificate",
        )
    if code in NAMES:
        return "the certificate there is another host's", "check the host in hub.url, and the names in the certificate"
    if code in UNKNOWN_SIGNERS:
        return (
            "the certificate there is signed by nobody whom this machine trusts",
            "set hub.tls_ca or hub.tls_fingerprint where it is the hub's own; else somebody stands between",
        )
    return f"the certificate there is not good ({_reason(error)})", "look at the hub's certificate"


def _system(error: OSError, host: str = "") -> tuple[str, str]:
    if isinstance(error, socket.gaierror):  # of the hub or of the proxy
        said = f"the name {host} is not found", "check the host in hub.url, and whether the site's DNS answers"
    elif isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:  # aiohttp's are not the former
        said = "nobody answers", AWAY
    elif error.errno == errno.ECONNREFUSED:
        said = "nothing listens there (connection refused)", "check whether the hub runs, and the port"
    elif error.errno in NO_ROUTE:
        said = "there is no way there", "check the network's cable, modem and router"
    elif isinstance(error, ConnectionError) or error.errno in CUT:
        said = "the connection was cut", AWAY
    else:
        said = _reason(error), AWAY
    return said


def _reason(error: Exception) -> str:
    said = (getattr(error, name, None) for name in ("verify_message", "reason", "strerror"))
    return next(filter(None, said), None) or str(error) or type(error).__name__
