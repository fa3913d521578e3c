"""The hub's own TLS."""

import ssl
from pathlib import Path

from gateway.core.errors import ConfigError


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """`certificate`: the hub's and those between it and its authority, in PEM. Raises ConfigError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password="")  # else OpenSSL asks at the terminal
    except OSError as error:  # ssl.SSLError is one
        why = "no pair of certificate and key" if isinstance(error, ssl.SSLError) else error.strerror
        hint = "expected PEM; the key without a password, and the one that the certificate was made for"
        raise ConfigError(f"tls_cert, tls_key: {certificate}, {key}: {why}", hint=hint) from error
    return context
