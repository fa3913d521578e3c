"""The hub's own TLS; a certificate that was renewed is used from the next connection on."""

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

from gateway.core.errors import ConfigError

log = logging.getLogger(__name__)


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """`certificate`: the hub's and those between it and its authority, in PEM. Raises ConfigError."""
    context, pair = _context(certificate, key), _Pair(certificate, key)

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = pair.newest()

    context.sni_callback = choose  # called for each connection, also where the other side names no host
    return context


class _Pair:
    """The two files, and what was read of them last; while they do not fit each other, that stays."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = certificate, key
        self._seen = list(self._stamps())
        self._context = _context(certificate, key)

    def newest(self) -> ssl.SSLContext:
        if (stamps := list(self._stamps())) != self._seen:
            self._seen = stamps
            try:
                self._context = _context(*self._files)
                log.info("certificate renewed", extra={"file": str(self._files[0])})
            except ConfigError as error:  # as while one of the two was written, and the other was not
                log.warning("certificate not renewed", extra={"why": error.in_full})
        return self._context

    def _stamps(self) -> Iterator[tuple[int, int] | None]:
        for file in self._files:
            try:
                stat = file.stat()
            except OSError:
                yield None
            else:
                yield stat.st_mtime_ns, stat.st_ino


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password="")  # else OpenSSL asks at the terminal
    except OSError as error:  # ssl.SSLError is one
        why = "no pair of certificate and key" if isinstance(error, ssl.SSLError) else error.strerror
        hint = "expected PEM; the key without a password, and the one that the certificate was made for"
        raise ConfigError(f"tls_cert, tls_key: {certificate}, {key}: {why}", hint=hint) from error
    return context
