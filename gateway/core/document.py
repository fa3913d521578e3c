"""YAML text to typed values; every complaint names file, line and key, and what was expected.

Pure: text in, values or ConfigError out. Configuration, profiles and the hub's settings all come
through here, so all are checked alike.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import yaml

from gateway.core.errors import ConfigError

T = TypeVar("T")
DEPTH_MAX = 20
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A piece of a parsed text: its content and the place ("file:line") where it was written.

    The content of a mapping is a dict of documents, of a list a list of documents, else a plain value.
    """

    content: Any
    place: str

    def plain(self) -> Any:
        """The values alone."""
        if isinstance(self.content, dict):
            return {key: child.plain() for key, child in self.content.items()}
        if isinstance(self.content, list):
            return [child.plain() for child in self.content]
        return self.content

    def at(self, path: Path) -> "Document":
        """What stands at `path`, or the nearest thing around it."""
        document = self
        for step in path:
            try:
                document = document.content[step]
            except (KeyError, IndexError, TypeError):
                break
        return document

    def place_of(self, path: Path) -> str:
        """Where `path`, or the nearest thing around it, was written."""
        return self.at(path).place

    def named(self) -> dict[Any, "Document"] | None:
        """The entries of a list by their `name`; None where it is no list of named entries.

        Raises ConfigError where two have one name.
        """
        if not isinstance(self.content, list):
            return None
        if not all(isinstance(child.content, dict) and "name" in child.content for child in self.content):
            return None
        entries: dict[Any, Document] = {}
        for child in self.content:
            name = child.content["name"].content
            if name in entries:
                raise ConfigError(f"{child.place}: name: {name} is here twice; the first is at {entries[name].place}")
            entries[name] = child
        return entries


def parse(text: str, source: str) -> Document:
    """Parse one YAML document; `source` is its file's name. An empty text is an empty mapping."""
    loader = yaml.CSafeLoader(text)
    try:
        root = loader.get_single_node()
        document = Document({}, f"{source}:1") if root is None else _build(loader, root, source, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{source}:1: not YAML: {error}") from error
    finally:
        loader.dispose()
    if not isinstance(document.content, dict):
        raise ConfigError(f"{source}:1: expected keys and values, got {type(document.content).__name__}")
    return document


def _build(loader: Any, node: yaml.Node, source: str, path: Path) -> Document:
    place = f"{source}:{node.start_mark.line + 1}"
    if len(path) > DEPTH_MAX:
        raise ConfigError(f"{place}: nested deeper than {DEPTH_MAX}, or an alias that holds itself")
    if isinstance(node, yaml.SequenceNode):
        return Document([_build(loader, item, source, (*path, at)) for at, item in enumerate(node.value)], place)
    if not isinstance(node, yaml.MappingNode):
        return Document(loader.construct_object(node), place)
    mapping: dict[str | int, Document] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node)
        at = f"{source}:{key_node.start_mark.line + 1}"
        if not isinstance(key, str | int):
            raise ConfigError(f"{at}: {dotted(path)}: a key must be a word or a number, not {key!r}")
        if key in mapping:
            raise ConfigError(
                f"{at}: {dotted((*path, key))}: the key is here twice; the first is at {mapping[key].place}"
            )
        child = _build(loader, value_node, source, (*path, key))
        mapping[key] = Document(child.content, at)
    return Document(mapping, place)


def overlay(base: Document, over: Document) -> Document:
    """`over` on top of `base`: mappings merge key by key, lists whose entries have a `name` merge by it.

    Anything else in `over` replaces what was there.
    """
    if isinstance(base.content, dict) and isinstance(over.content, dict):
        return Document(_merged(base.content, over.content), over.place)
    below, above = base.named(), over.named()
    if below is not None and above is not None:
        return Document(list(_merged(below, above).values()), over.place)
    return over


def _merged(base: dict[Any, Document], over: dict[Any, Document]) -> dict[Any, Document]:
    return base | {key: overlay(base[key], child) if key in base else child for key, child in over.items()}


def convert(document: Document, kind: type[T], prefix: Path = ()) -> T:
    """The document, which stands at `prefix` of its file, as a `kind` (a msgspec struct).

    Raises ConfigError for the first thing that does not fit.
    """
    try:
        return msgspec.convert(document.plain(), kind)
    except msgspec.ValidationError as error:
        message, path = _located(str(error))
        if ANY_KEY in path:  # msgspec does not say which entry of a mapping it was: ask each
            mapping = path[: path.index(ANY_KEY)]
            if (inner := _struct_at(kind, mapping)) is not None:
                for key, entry in document.at(mapping).content.items():
                    convert(entry, inner, (*prefix, *mapping, key))
            path = mapping
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", message):
            message = f"no such key{_suggestion(_struct_at(kind, path), unknown[1])}"
            path = (*path, unknown[1])
        place = document.at(path).place
        raise ConfigError(f"{place}: {dotted((*prefix, *path))}: {_in_words(message)}") from error


ANY_KEY = "..."


def _located(text: str) -> tuple[str, Path]:
    """Split msgspec's message into what is wrong and the path where."""
    message, _, where = text.partition(" - at `")
    steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]", where)
    return message, tuple(name or (index if index == ANY_KEY else int(index)) for name, index in steps)


def _struct_at(kind: Any, path: Path) -> type[msgspec.Struct] | None:
    """The struct type that stands at `path` inside `kind`, as it is or in a list or mapping."""
    for step in path:
        if isinstance(step, str) and kind is not None:
            kind = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}.get(step)
        kind = _struct_in(kind)
    return _struct_in(kind)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for inner in getattr(kind, "__args__", ()) if (found := _struct_in(inner))), None)


def _suggestion(kind: type[msgspec.Struct] | None, key: str) -> str:
    fields = [field.encode_name for field in msgspec.structs.fields(kind)] if kind else []
    near = difflib.get_close_matches(key, fields, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(fields)}" if fields else ""


WORDS = {
    "`str`": "text", "`int`": "a whole number", "`float`": "a number", "`bool`": "true or false",
    "`object`": "keys and values", "`array`": "a list", "`null`": "nothing",
}  # fmt: skip


def _in_words(message: str) -> str:
    for theirs, ours in WORDS.items():
        message = message.replace(theirs, ours)
    missing = re.fullmatch(r"Object missing required field `(.*)`", message)
    if missing:
        return f"the key {missing[1]} is missing"
    return message[:1].lower() + message[1:]


def dotted(path: Path) -> str:
    """A path for people: `buses[0].devices[1].unit_id`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "(top)"
