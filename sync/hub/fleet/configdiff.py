"""How a desired configuration differs from the one that a node reports; pure, and without secrets."""

import difflib

import msgspec

from gateway.core.document import parse
from gateway.core.errors import ConfigError
from gateway.core.redacting import Plain, canonical, in_clear, leaves, redacted

SOURCE = "site.yaml"
TEXT_MAX = 256 * 1024  # bytes


class KeyDiff(msgspec.Struct, frozen=True):
    """A key of which both have another value; None: it is not there."""

    key: str
    reported: Plain
    desired: Plain


def check(text: str) -> None:
    """Raises ConfigError for what can be no site.yaml, and for one with secrets; the node has the last word."""
    if len(text.encode()) > TEXT_MAX:
        raise ConfigError(f"{SOURCE}: more than {TEXT_MAX} bytes")
    if secrets := in_clear(parse(text, SOURCE)):
        raise ConfigError(
            f"{SOURCE}: {secrets[0]}: secrets do not go through the hub",
            hint='write "(kept on site)" to keep the one there, or have the installer set it in site_local.yaml',
        )


def plain_text(text: str) -> str:
    """As reports have it. Raises ConfigError."""
    return canonical(parse(text, SOURCE))


def differs(reported: str, desired: str) -> bool:
    """Whether the texts say something else. Raises ConfigError."""
    return plain_text(reported) != plain_text(desired)


def by_line(reported: str, desired: str) -> str:
    """A unified diff of what both say; empty where it is the same. Raises ConfigError."""
    lines = plain_text(reported).splitlines(keepends=True), plain_text(desired).splitlines(keepends=True)
    return "".join(difflib.unified_diff(*lines, "reported", "desired"))


def by_key(reported: str, desired: str) -> list[KeyDiff]:
    """In the order of the reported one, then what is new. Raises ConfigError."""
    old, new = (dict(leaves(redacted(parse(text, SOURCE)))) for text in (reported, desired))
    return [
        KeyDiff(k, old.get(k), new.get(k)) for k in {**old, **new} if (k in old, old.get(k)) != (k in new, new.get(k))
    ]
