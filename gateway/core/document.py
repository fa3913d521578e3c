"""YAML text to typed values; every complaint names file, line and key, and what was expected.

Pure: text in, values or ConfigError out. Configuration, profiles and the hub's settings all come
through here, so all are checked alike.
"""

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import yaml

from gateway.core.errors import ConfigError

T = TypeVar("T")
DEPTH_MAX = 20
VALUES_MAX = 300_000  # of one document
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

    def complaint(self, path: Path, words: str, *, hint: str = "") -> ConfigError:
        """What is wrong with `path`, with its place."""
        return ConfigError(f"{self.place_of(path)}: {dotted(path)}: {words}", hint=hint)

    def named(self) -> dict[Any, "Document"] | None:
        """The entries of a list by their `name`, or else by their `key`; None where not all have one.

        Raises ConfigError where two have the same.
        """
        if not isinstance(self.content, list) or not all(isinstance(child.content, dict) for child in self.content):
            return None
        by = next((by for by in ("name", "key") if all(by in child.content for child in self.content)), None)
        if by is None:
            return None
        entries: dict[Any, Document] = {}
        for child in self.content:
            name = child.content[by].plain()
            if not isinstance(name, str | int):
                return None
            if name in entries:
                raise ConfigError(f"{child.place}: {by}: {name} is here twice; the first is at {entries[name].place}")
            entries[name] = child
        return entries


def parse(text: str, source: str) -> Document:
    """Parse one YAML document; `source` is its file's name. An empty text is an empty mapping."""
    loader = yaml.CSafeLoader(text)
    try:
        _check_nesting(text, source)
        root = loader.get_single_node()
        document = (
            Document({}, f"{source}:1") if root is None else _build(loader, root, source, (), iter(range(VALUES_MAX)))
        )
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


def _check_nesting(text: str, source: str) -> None:
    """Composing recurses in C, and ends the process where a text is nested too deep; its events do not recurse."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX + 1:
            raise ConfigError(f"{source}:{line}: nested deeper than {DEPTH_MAX}")


def _build(loader: Any, node: yaml.Node, source: str, path: Path, left: Iterator[int]) -> Document:
    """`left`: as many values more may come; aliases of aliases make a world out of ten lines."""
    place = f"{source}:{node.start_mark.line + 1}"
    if next(left, None) is None:
        raise ConfigError(f"{place}: more than {VALUES_MAX} values, those that aliases repeat counted, too")
    if len(path) > DEPTH_MAX:
        raise ConfigError(f"{place}: nested deeper than {DEPTH_MAX} by aliases")
    if isinstance(node, yaml.SequenceNode):
        return Document([_build(loader, item, source, (*path, at), left) for at, item in enumerate(node.value)], place)
    if not isinstance(node, yaml.MappingNode):
        return Document(_scalar(loader, node, place, path), place)
    mapping: dict[str | int, Document] = {}
    for key_node, value_node in node.value:
        at = f"{source}:{key_node.start_mark.line + 1}"
        key = _scalar(loader, key_node, at, path)
        if not isinstance(key, str | int):
            raise ConfigError(f"{at}: {dotted(path)}: a key must be a word or a number, not {key!r}")
        if key in mapping:
            raise ConfigError(
                f"{at}: {dotted((*path, key))}: the key is here twice; the first is at {mapping[key].place}"
            )
        child = _build(loader, value_node, source, (*path, key), left)
        mapping[key] = Document(child.content, at)
    return Document(mapping, place)


def _scalar(loader: Any, node: yaml.Node, place: str, path: Path) -> Any:
    try:
        value = loader.construct_object(node)
    except (ValueError, LookupError, AttributeError, OverflowError) as error:  # yaml's own, of `!!int ""`, `!!bool x`
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        raise ConfigError(f"{place}: {dotted(path)}: {str(node.value)[:40]!r} is not of the type {tag}") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{place}: {dotted(path)}: expected a number, got {value}")
    return value


def overlay(base: Document, over: Document) -> Document:
    """`over` on top of `base`: mappings merge key by key, lists whose entries have a `name` or `key` merge by it.

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
        for mistake in mistakes(document, kind, prefix):
            raise mistake from error
        raise ConfigError(f"{document.place}: {dotted(prefix)}: {_in_words(str(error))}") from error


def mistakes(document: Document, kind: Any, prefix: Path = ()) -> Iterator[ConfigError]:
    """Everything that does not fit, in the order in which it was written."""
    within = list(_mistakes_within(document, kind, prefix))
    yield from within or _mistake(document, kind, prefix)


def _mistakes_within(document: Document, kind: Any, prefix: Path) -> Iterator[ConfigError]:
    content, (outer, inner) = document.content, _parts(kind)
    if isinstance(content, dict) and (struct := _struct_in(kind)) is not None:
        yield from _struct_mistakes(document, struct, prefix)
    elif isinstance(content, dict) and outer is dict:
        for key, child in content.items():
            yield from _mistake(Document(key, child.place), inner[0], (*prefix, key))
            yield from mistakes(child, inner[1], (*prefix, key))
    elif isinstance(content, list) and (outer is list or (outer is tuple and inner[1:] == (...,))):
        for index, child in enumerate(content):
            yield from mistakes(child, inner[0], (*prefix, index))


def _struct_mistakes(document: Document, struct: type[msgspec.Struct], prefix: Path) -> Iterator[ConfigError]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for key, child in document.content.items():
        if key in fields:
            yield from mistakes(child, fields[key].type, (*prefix, key))
        elif struct.__struct_config__.forbid_unknown_fields:
            yield ConfigError(f"{child.place}: {dotted((*prefix, key))}: no such key{_suggestion(struct, str(key))}")
    for key, field in fields.items():
        if field.required and key not in document.content:
            yield ConfigError(f"{document.place}: {dotted(prefix)}: the key {key} is missing")


def _mistake(document: Document, kind: Any, path: Path) -> Iterator[ConfigError]:
    try:
        msgspec.convert(document.plain(), kind)
    except msgspec.ValidationError as error:
        message = str(error).partition(" - at `")[0]
        yield ConfigError(f"{document.place}: {dotted(path)}: {_in_words(message, document.content, kind)}")


def _parts(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """What a type is of, and its arguments; a type that may be None counts without it."""
    if get_origin(kind) is Annotated:
        return _parts(get_args(kind)[0])
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        some = [part for part in get_args(kind) if part is not NoneType]
        return _parts(some[0]) if len(some) == 1 else (None, ())
    return get_origin(kind), get_args(kind)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The struct type that `kind` is, or may be."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    if get_origin(kind) is Annotated or isinstance(kind, UnionType) or get_origin(kind) is Union:
        return next((found for part in get_args(kind) if (found := _struct_in(part)) is not None), None)
    return None


def _suggestion(struct: type[msgspec.Struct], key: str) -> str:
    fields = [field.encode_name for field in msgspec.structs.fields(struct)]
    near = difflib.get_close_matches(key, fields, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(fields)}" if fields else ""


WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "object": "keys and values", "array": "a list", "null": "nothing",
}  # fmt: skip


def _in_words(message: str, got: Any = None, kind: Any = None) -> str:
    """What msgspec says, as people say it; `got` is what did not fit `kind`."""
    missing = re.fullmatch(r"Object missing required field `(.*)`", message)
    if missing:
        return f"the key {missing[1]} is missing"
    if "matching regex" in message:  # what was got may be a password in the wrong place
        return f"expected {_described(kind) or 'text of another form'}"
    if message.startswith("Invalid enum value"):
        return f"expected {_one_of(kind)}, got {got!r}"
    message = re.sub(r"`([a-z0-9 |]+)`", lambda types: _types_in_words(types[1].split(" | ")), message)
    return message[:1].lower() + message[1:]


def _types_in_words(types: list[str]) -> str:
    return " or ".join(WORDS.get(name, name) for name in types if name != "null" or len(types) == 1)


def _described(kind: Any) -> str:
    """The description that a type, or one that it may be, carries."""
    found = (str(meta.description) for meta in getattr(kind, "__metadata__", ()) if getattr(meta, "description", ""))
    return next(found, "") or next((text for part in get_args(kind) if (text := _described(part))), "")


def _one_of(kind: Any) -> str:
    """The values of a Literal, or of one that a type may be."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return next((text for part in get_args(kind) if (text := _one_of(part))), "")


def dotted(path: Path) -> str:
    """A path for people: `buses[0].devices[1].unit_id`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "(top)"
