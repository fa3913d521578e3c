"""The technician's commands on the buffer's file: back it up, put it back, take readings out, look into it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.core.errors import ConfigError

if TYPE_CHECKING:  # the commands import what they need when they run, so that each starts quickly
    from gateway.config import Config

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
CONFIG = click.option("--config", "site", type=FILE, required=True, help="The site's configuration, site.yaml.")
OTHER = click.option("--file", type=FILE, help="A backup, or another buffer's file, instead of the site's.")
FORCE = click.option("--force", is_flag=True, help="Overwrite a file that is there.")


def of_one_file(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which file; at least one has to be given."""
    return click.option("--config", "site", type=FILE, help="The site's configuration, site.yaml.")(OTHER(command))


@click.command("backup")
@click.argument("file", type=NEW_FILE)
@CONFIG
@FORCE
def backup_(file: Path, site: Path, force: bool) -> None:
    """Copy the buffer into FILE and verify the copy; the gateway may run meanwhile."""
    from gateway.backup import backup
    from gateway.core.wording import bytes_text

    made = backup(_buffer(site)[0], file, force=force)
    click.echo(f"{file}: good; {made.life.head:,} records taken, {bytes_text(made.bytes)}")


@click.command("restore")
@click.argument("file", type=FILE)
@CONFIG
def restore_(file: Path, site: Path) -> None:
    """Put the backup FILE in the place of the buffer; stop the gateway first. What was there is set aside."""
    from datetime import datetime

    from gateway.restore import restore

    buffer, config = _buffer(site)
    restored = restore(buffer, file, datetime.now().astimezone())
    unsent = f", {restored.unsent:,} to be sent" if config.hub else ""
    click.echo(f"{buffer}: restored; {restored.head:,} records taken{unsent}")
    if (aside := restored.aside) is None:
        return
    click.echo(f"what was there before is {aside.file}")
    if aside.lacking is None:
        click.echo("  it cannot be read: what it has that the backup lacks cannot be told")
    elif aside.lacking:
        which = "newer than the backup" if aside.is_same_life else "of another buffer than the backup"
        unsent = f"; the hub lacks {aside.unsent:,} of them" if config.hub else ""
        click.echo(f"  {aside.lacking:,} records, {which}, are only there{unsent}")
        click.echo(f"  holdfast export --file {aside.file} brings them out")


@click.command("export")
@of_one_file
@click.option("--device", "devices", multiple=True, help="Only of this device; may be given again.")
@click.option("--point", "points", multiple=True, help="Only this point; may be given again.")
@click.option("--from", "since", metavar="T", help="2026-11-20, 2026-11-20T08:00 (the site's time), -7d, -12h.")
@click.option("--to", "until", metavar="T", help="Likewise; not that moment itself, but a day alone is the whole day.")
@click.option("--resolution", type=click.Choice(["raw", "1m", "1h"]), default="raw", show_default=True,
              help="Every reading, or one row of each point a minute or an hour.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), default="csv", show_default=True)
@click.option("--wide", is_flag=True, help="A row for each time and device, not for each reading.")
@click.option("--utc", is_flag=True, help="Times in UTC, not the site's.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="-", help="A file; standard output else.")
@FORCE
def export_(
    site: Path | None, file: Path | None, devices: tuple[str, ...], points: tuple[str, ...], since: str | None,
    until: str | None, resolution: str, form: str, wide: bool, utc: bool, output: Path, force: bool,
) -> None:  # fmt: skip
    """Write readings as CSV or NDJSON, while the gateway runs or not."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from gateway.export import FOREVER, Choice
    from gateway.exporting import Wanted, export
    from gateway.timerange import moment

    buffer, config = _one_of(site, file)
    zone, now = ZoneInfo(config.site.timezone), datetime.now().astimezone()
    lo = moment("--from", since, zone, now) if since else -FOREVER
    hi = moment("--to", until, zone, now, is_end=True) if until else FOREVER
    if lo >= hi:
        raise ConfigError("--from, --to: the end is not after the beginning")
    choice = Choice(devices, points, lo, hi)
    wanted = Wanted(choice, resolution, form, wide, ZoneInfo("UTC") if utc else zone)
    left_out = export(buffer, wanted, None if str(output) == "-" else output, force=force)
    for piece in left_out:
        click.echo(f"holdfast: damaged and left out: {piece}", err=True)
    if left_out:
        sys.exit(1)


@click.group()
def buffer() -> None:
    """Look into the buffer's file, while the gateway runs or not."""


@buffer.command("stat")
@of_one_file
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def buffer_stat(site: Path | None, file: Path | None, as_json: bool) -> None:
    """Say how large it is, what is in it, and what the hub lacks."""
    from zoneinfo import ZoneInfo

    from gateway.bufferfile import looking_at
    from gateway.bufferstat import lines, stat

    path, config = _one_of(site, file)
    with looking_at(path) as db:
        found = stat(db, path, config.buffer if file is None else None)
    told = lines(found, ZoneInfo(config.site.timezone), hub=file is not None or config.hub is not None)
    click.echo(json.dumps(found) if as_json else "\n".join(told))


@buffer.command("check")
@of_one_file
def buffer_check(site: Path | None, file: Path | None) -> None:
    """Read all of it and name what is damaged; nothing is changed. Ends with 1 where something is."""
    from gateway.bar import bar
    from gateway.buffercheck import ADVICE, problems
    from gateway.bufferfile import looking_at

    path, _ = _one_of(site, file)
    count = 0
    with looking_at(path) as db, bar("checking") as step:
        for count, problem in enumerate(problems(db, step), start=1):  # noqa: B007 - told after the loop
            click.echo(f"{path}: {problem}")
    if count:
        click.echo(ADVICE, err=True)
        sys.exit(1)
    click.echo(f"{path}: good")


VERBS = (backup_, restore_, export_, buffer)


def _one_of(site: Path | None, file: Path | None) -> "tuple[Path, Config]":
    """The buffer's file and what is configured; with `file` it is that one instead of the site's."""
    from gateway.config import Config

    if site is None and file is None:
        raise ConfigError("expected --config SITE.YAML, or --file with a buffer's file or a backup")
    buffer, config = (Path(), Config()) if site is None else _buffer(site)
    return file or buffer, config


def _buffer(site: Path) -> "tuple[Path, Config]":
    """The buffer's file of a site. Raises ConfigError."""
    from gateway.loadconfig import load_config

    config, _ = load_config(site)
    return site.parent / config.buffer.path, config
