"""What we show of settings is whole, and can be used."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import yaml

from gateway.config import AmqpLink, HubLink
from gateway.core import document
from gateway.loadconfig import load_config
from sync.hub.config import HubConfig, parse_hub_config

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config/hub.example.yaml").read_text()
SITE = re.findall(r"```yaml\n(hub:.*?)```", (ROOT / "docs/sync.md").read_text(), re.DOTALL)[0]
HAS_TO_BE = "has to be there"


def keys(kind: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(kind)}


def struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a field of this type holds, alone, in a tuple or beside None."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next(filter(None, map(struct_in, get_args(kind))), None) if get_origin(kind) is not None else None


def settings(kind: type[msgspec.Struct], place: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting's place and what counts without it; msgspec.NODEFAULT: it has to be there."""
    for field in msgspec.structs.fields(kind):
        here = f"{place}{field.name}"
        made = field.default_factory
        default = field.default if made is msgspec.NODEFAULT else made()
        inner = struct_in(get_type_hints(kind)[field.name])
        if inner is None or not isinstance(default, inner):  # of a group that is always there its settings count
            yield here, default
        if inner is not None:
            yield from settings(inner, f"{here}.")


def shown(text: str) -> dict[str, list[tuple[Any, str]]]:
    """Of each place in the example its values, and the comments on their lines."""
    lines, found = text.splitlines(), dict[str, list[tuple[Any, str]]]()

    def walk(node: yaml.Node, place: str) -> None:
        for one in node.value if isinstance(node, yaml.SequenceNode) else ():
            walk(one, place)
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            here = f"{place}.{key.value}" if place else key.value
            comment = lines[key.start_mark.line].partition("  # ")[2]
            given = yaml.safe_load(yaml.serialize(value))
            found.setdefault(here, []).append((given, comment))
            walk(value, here)

    walk(yaml.compose(text), "")
    return found


def agrees(default: object, given: object, comment: str) -> bool:
    """Whether a line of the example says what counts without it; what nothing means is said in words."""
    if default is msgspec.NODEFAULT:
        return comment.startswith(HAS_TO_BE)
    if default in (None, "", ()):
        return "if not given" in comment
    return f"{default} if not given" in comment if "if not given" in comment else given == default


def test_the_example_of_a_hub_can_be_used() -> None:
    parse_hub_config(EXAMPLE, "hub.yaml")


def test_the_example_of_a_hub_has_every_setting_with_what_counts_without_it() -> None:
    example, known = shown(EXAMPLE), dict(settings(HubConfig))
    assert known.keys() - example.keys() == set()
    wrong = [
        f"{place}: {given!r} # {comment}; without it: {known[place]!r}"
        for place, lines in example.items()
        if place in known
        for given, comment in lines[:1]
        if not agrees(known[place], given, comment)
    ]
    assert wrong == []


def test_the_document_on_sync_shows_every_setting_of_the_way_to_the_hub() -> None:
    link = document.parse(SITE, "site.yaml").plain()["hub"]
    assert link.keys() == keys(HubLink)
    assert link["amqp"].keys() == keys(AmqpLink)


def test_the_settings_that_it_shows_can_be_used(tmp_path: Path) -> None:
    usable = [line for line in SITE.splitlines() if "tls_ca:" not in line]  # these name files
    (tmp_path / "site.yaml").write_text("\n".join([*usable, "buses: []"]))
    assert load_config(tmp_path / "site.yaml")[0].hub is not None
