"""Whose certificate is believed to be the hub's."""

import ssl
from pathlib import Path

import aiohttp

from gateway.core.authorities import trusting

Tls = ssl.SSLContext | aiohttp.Fingerprint


def trust(tls_ca: Path | None = None, fingerprint: str | None = None) -> Tls:
    """Certificates that are signed by one in the file `tls_ca`, or by the system's authorities where it is None.

    With `fingerprint`, SHA-256 of the certificate in 64 hexadecimal digits, that one and no other, whoever
    signed it, whatever name and dates it bears. Raises ConfigError.
    """
    if fingerprint is not None:
        return aiohttp.Fingerprint(bytes.fromhex(fingerprint))
    return trusting(tls_ca, "hub.tls_ca")
