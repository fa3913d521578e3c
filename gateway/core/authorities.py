"""Whose word is taken for a certificate."""

import ssl
from pathlib import Path

from gateway.core.errors import ConfigError


def trusting(authorities: Path | None, key: str) -> ssl.SSLContext:
    """Takes certificates that are signed by one in that file, or by the system's authorities where it is None.

    `key` is where the configuration names the file. Raises ConfigError.
    """
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:  # ssl.SSLError is one
        why = "no certificate can be read in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"{key}: {authorities}: {why}", hint="give a file of certificates in PEM") from error
