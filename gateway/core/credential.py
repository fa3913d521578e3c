"""Secrets are kept as SHA-256 and compared in constant time."""

import base64
import hashlib
import hmac


def digest(secret: str) -> str:
    """What is kept of `secret`: SHA-256, 64 hexadecimal characters.

    There is one for every text: a header that is not UTF-8 comes with surrogates in it, and is a wrong secret.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def matches(secret: str, secret_sha256: str | None) -> bool:
    """Whether `secret` is the one kept; None (nobody of that name) takes as long and says no."""
    known = secret_sha256 if secret_sha256 is not None else digest("")
    return hmac.compare_digest(digest(secret), known) and secret_sha256 is not None


def basic_password(authorization: str) -> str:
    """The password in an HTTP Basic Authorization header; empty where there is none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:  # not base64, or not of UTF-8
        return ""
