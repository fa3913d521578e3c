"""Configurations without their secrets: what leaves the site, and how it finds its secrets again; pure.

A secret is known by its key. In its place stands KEPT; a text in which that stands gets what the site has there.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from gateway.core.document import Document, Path, dotted
from gateway.core.errors import ConfigError

KEPT = "(kept on site)"
SECRET = re.compile(r"secret|pass(word|wd|phrase|code)|token|credential|private|api_?key|device_id|(^|_)pin($|_)", re.I)
SIGNED_IN = re.compile(r"://.*@", re.S)  # a user and a password before a host
ASKED = re.compile(r"(://[^?]*\?).+", re.S)  # what follows may be a token
Plain = str | int | float | bool | None


def is_secret(key: str | int) -> bool:
    """Whether what stands under this key is nobody's business; hashes of secrets are secrets, too."""
    return SECRET.search(str(key)) is not None


def redacted(document: Document, key: str | int = "") -> Document:
    """The same with KEPT for all that is secret; `key`: what it stands under."""
    content = document.content
    if content is not None and is_secret(key):
        return Document(KEPT, document.place)
    if isinstance(content, dict):
        return Document({name: redacted(child, name) for name, child in content.items()}, document.place)
    if isinstance(content, list):
        return Document([redacted(child, key) for child in content], document.place)
    return Document(_without_sign_in(content), document.place)


def _without_sign_in(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return ASKED.sub(rf"\1{KEPT}", SIGNED_IN.sub(f"://{KEPT}@", value))


def canonical(document: Document) -> str:
    """As YAML, without secrets and comments, always alike: two texts that say the same are the same then."""
    return text_of(redacted(document))


def text_of(document: Document) -> str:
    """As YAML, in the order in which it was written."""
    return yaml.dump(document.plain(), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=110)


def in_clear(document: Document) -> list[str]:
    """The paths, for people, of secrets that somebody wrote into it."""
    known = dict(leaves(redacted(document)))
    return [path for path, value in leaves(document) if known.get(path, KEPT) != value]


def filled(document: Document, present: Document, path: Path = ()) -> Document:
    """`document`, where it says KEPT with what `present` has there; entries of lists are found by their names.

    Raises ConfigError where there is nothing to keep.
    """
    content, there = document.content, present.content
    if isinstance(content, dict):
        children = there if isinstance(there, dict) else {}
        nothing = Document(None, present.place)
        filled_in = {key: filled(v, children.get(key, nothing), (*path, key)) for key, v in content.items()}
        return Document(filled_in, document.place)
    if isinstance(content, list):
        entries = [filled(entry, _like(entry, at, present), (*path, at)) for at, entry in enumerate(content)]
        return Document(entries, document.place)
    if not (isinstance(content, str) and KEPT in content):
        return document
    if there is None or redacted(present, path[-1] if path else "").content != content:
        raise ConfigError(
            f"{document.place}: {dotted(path)}: there is nothing on the site that could be kept",
            hint="leave the key out, or have the installer set it in site_local.yaml",
        )
    return present


def _like(entry: Document, at: int, present: Document) -> Document:
    """The entry of the list `present` that has the same name, as it is told, or else the same place."""
    try:
        wanted, told, known = Document([entry], "").named(), redacted(present).named(), present.named()
    except ConfigError:
        wanted = told = known = None
    if told is not None and known is not None:
        known = dict(zip(told, known.values(), strict=True))
    if wanted and known is not None:
        return known.get(next(iter(wanted)), Document(None, present.place))
    has = isinstance(present.content, list) and at < len(present.content)
    found: Document = present.content[at] if has else Document(None, present.place)
    return found


def leaves(document: Document, prefix: str = "") -> Iterator[tuple[str, Plain]]:
    """Each value with its path for people, entries by their names: `buses[one].devices[meter].poll_s`."""
    for path, leaf in leaf_documents(document, prefix):
        yield path, plain(leaf)


def leaf_documents(document: Document, prefix: str = "") -> Iterator[tuple[str, Document]]:
    """The same, with the places; a list of plain values is one of them, and so is all that is empty."""
    content = document.content
    if content and isinstance(content, dict):
        for key, child in content.items():
            yield from leaf_documents(child, f"{prefix}.{key}" if prefix else str(key))
    elif content and isinstance(content, list) and any(isinstance(child.content, dict | list) for child in content):
        for at, child in enumerate(content):
            yield from leaf_documents(child, f"{prefix}[{_name(child, at)}]")
    else:
        yield prefix, document


def _name(entry: Document, at: int) -> str | int:
    for by in ("name", "key"):
        if isinstance(entry.content, dict) and by in entry.content:
            return str(entry.content[by].plain())
    return at


def plain(leaf: Document) -> Plain:
    """Of a leaf; lists of plain values as words."""
    value = leaf.plain()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "[]"
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return "{}" if value == {} else str(value)
