"""A site's configuration as the hub may see it."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import Config
from gateway.core.configreport import ConfigReport, ConfigValue, Layer
from gateway.core.document import Document, parse
from gateway.core.redacting import canonical, leaf_documents, plain, redacted
from gateway.loadconfig import load_config, read_text

BYTES_MAX = 256 * 1024  # of what goes over the line
BUILT_IN = "(built in)"


def describe(path: Path) -> ConfigReport:
    """Of the files as they are now. Raises ConfigError where they cannot be used."""
    config, merged = load_config(path)
    text = read_text(path)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    report = ConfigReport(canonical(parse(text, path.name)), _values(config, merged, path.name), sha256)
    if len(msgspec.msgpack.encode(report)) <= BYTES_MAX:
        return report
    words = f"the configuration is too large to be told: {len(report.values)} values"
    return ConfigReport("", (), sha256, cut=words)


def digest(report: ConfigReport) -> str:
    """By which the hub knows whether it has this one."""
    return hashlib.sha256(msgspec.json.encode(report)).hexdigest()


def _values(config: Config, merged: Document, site: str) -> tuple[ConfigValue, ...]:
    effective = redacted(_placed(msgspec.to_builtins(config), merged))
    return tuple(ConfigValue(key, plain(leaf), _layer(leaf.place, site)) for key, leaf in leaf_documents(effective))


def _placed(value: Any, written: Document | None) -> Document:
    """What is in effect as a document, each value with the place where it was written."""
    place = written.place if written is not None else BUILT_IN
    content = written.content if written is not None else None
    if isinstance(value, dict):
        there = content if isinstance(content, dict) else {}
        return Document({key: _placed(child, there.get(key)) for key, child in value.items()}, place)
    if isinstance(value, list | tuple):
        entries = content if isinstance(content, list) else []
        padded = [*entries, *[None] * len(value)]
        return Document([_placed(child, padded[at]) for at, child in enumerate(value)], place)
    return Document(value, place)


def _layer(place: str, site: str) -> Layer:
    if place == BUILT_IN:
        return "default"
    return "site" if place.rpartition(":")[0] == site else "local"
