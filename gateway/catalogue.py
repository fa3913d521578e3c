"""`holdfast profile`: what profiles there are, whether one is good, and what a profile may say."""

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from drivers.modbus.load import mistakes_in, parse_profile
from drivers.modbus.models import SunSpec
from drivers.modbus.planner import plan_blocks
from drivers.modbus.points import place_points
from drivers.modbus.profile import Profile
from gateway.app import load_profile
from gateway.core.errors import ConfigError
from gateway.loadconfig import read_text
from gateway.profiles import profile_names, profile_text

FILE_NAME = re.compile(r"\S+\.\w{1,8}")
ENOUGH = ("key", "name")  # what an entry must say that is laid over one of a base


def check(file: Path) -> str:
    """What the profile in `file` offers. Raises ConfigError with all that is wrong with it."""
    text = read_text(file)

    def base(name: str) -> tuple[str, str]:
        beside = file.parent / f"{name}.yaml"
        return (read_text(beside), beside.name) if beside.is_file() else profile_text(name, None)

    mistakes = mistakes_in(text, file.name, base)
    if mistakes:
        count = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        hint = "mend and check again: a wrong part hides what else may be wrong with it"
        raise ConfigError("\n".join([f"{file}: {count}", *(f"  {mistake}" for mistake in mistakes)]), hint=hint)
    return f"{file}: good\n" + "\n".join(
        f"  {line}" for line in _described(parse_profile(text, file.name, base), file.parent)
    )


def _described(profile: Profile, folder: Path) -> list[str]:
    about = [f"{profile.make} {profile.model}, role {profile.role}"]
    about += [_chain(profile.sunspec)] if profile.sunspec is not None else _points(profile)
    about.append(f"{_writable(profile)} can be written")
    about.append(_proof(profile.proven_by, folder))
    return about


def _proof(proven_by: str, folder: Path) -> str:
    """What is said of the recording; one that is named as a file must be there."""
    if not proven_by:
        return "not proven: proven_by names no recording"
    if FILE_NAME.fullmatch(proven_by) and not (folder / proven_by).is_file():
        return f"not proven: proven_by names {proven_by}, and there is no such file in {folder}"
    return f"proven by {proven_by}, as it says"


def _points(profile: Profile) -> list[str]:
    placed = place_points(profile)
    groups = Counter(point.group for point in placed)
    lines = [f"{len(placed)} points in {len(groups)} group{'s' * (len(groups) > 1)}"]
    for group, points in groups.items():
        wanted = (block for point in placed if point.group == group for block in point.blocks)
        link = profile.link
        blocks = plan_blocks(wanted, gap_max=link.gap, words_max=link.words_max, barriers=profile.barriers)
        reads = ", ".join(f"{block.table} {block.address}-{block.end - 1}" for block in blocks)
        lines.append(f"  {group}: {points} points, blocks per poll: {len(blocks)} ({reads})")
    return lines


def _chain(sunspec: SunSpec) -> str:
    return f"{_chain_points(sunspec)} points in {len(sunspec.models)} models; a device's own chain says which it has"


def _chain_points(sunspec: SunSpec) -> int:
    """Those with a value of their own; of a part that repeats, once."""
    return sum(
        point.type not in ("sunssf", "pad") for model in sunspec.models.values() for point in model.every_point()
    )


def _writable(profile: Profile) -> int:
    models = () if profile.sunspec is None else profile.sunspec.models.values()
    writes = [point.write for point in profile.points]
    writes += [point.write for model in models for point in model.every_point()]
    return sum(write is not None for write in writes)


@dataclass(frozen=True, slots=True)
class Entry:
    """One profile of the list; `points` of a SunSpec profile are those of all models."""

    name: str
    make: str
    model: str
    points: int
    writable: int
    proven: bool


def listed() -> list[Entry]:
    """The profiles that are shipped."""
    return [_entry(name, load_profile(name)) for name in profile_names()]


def _entry(name: str, profile: Profile) -> Entry:
    points = len(profile.points) if profile.sunspec is None else _chain_points(profile.sunspec)
    return Entry(name, profile.make, profile.model, points, _writable(profile), bool(profile.proven_by))


def present(entries: list[Entry], as_json: bool) -> None:
    """Print what `listed` gave."""
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries]))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("name", no_wrap=True), "make", "model", "points", "writable", "proven")
    for entry in entries:
        counts = str(entry.points), str(entry.writable) if entry.writable else "-"
        table.add_row(entry.name, entry.make, entry.model, *counts, "yes" if entry.proven else "no")
    Console().print(table)


def schema() -> str:
    """The JSON Schema of a profile's file, for editors; `check` finds more than a schema can say.

    What must be there is asked only of a file that stands alone: laid over a base, the base may say it.
    """
    whole: dict[str, Any] = msgspec.json.schema(Profile)
    parts = whole["$defs"]
    alone = {name: part.get("required", []) for name, part in parts.items()}
    for part in parts.values():
        part["required"] = [key for key in part.get("required", []) if key in ENOUGH]
    points = {"items": {"required": alone["PointSpec"]}}
    parts["Profile"] |= {
        "if": {"not": {"required": ["based_on"]}},
        "then": {"required": alone["Profile"], "properties": {"points": points}},
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Holdfast profile"}
    return json.dumps(head | whole, indent=1, ensure_ascii=False) + "\n"
