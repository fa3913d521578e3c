"""The technician's commands on the buffer's file: back it up, put it back, take readings out, look into it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # the commands import what they need when they run, so that each starts quickly
    from gateway.config import Config

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
CONFIG = click.option("--config", "site", type=FILE, required=True, help="The site's configuration, site.yaml.")
FORCE = click.option("--force", is_flag=True, help="Overwrite a file that is there.")


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

    buffer, _ = _buffer(site)
    restored = restore(buffer, file, datetime.now().astimezone())
    click.echo(f"{buffer}: restored; {restored.head:,} records taken, {restored.unsent:,} to be sent")
    if (aside := restored.aside) is None:
        return
    click.echo(f"what was there before is {aside.file}")
    if aside.lacking is None:
        click.echo("  it is damaged: what it has that the backup lacks cannot be told")
    elif aside.lacking:
        which = "newer than the backup" if aside.is_same_life else "of another buffer than the backup"
        click.echo(f"  {aside.lacking:,} records, {which}, are only there; the hub lacks {aside.unsent:,} of them")
        click.echo(f"  holdfast export --file {aside.file} brings them out")


VERBS = (backup_, restore_)


def _buffer(site: Path) -> "tuple[Path, Config]":
    """The buffer's file of a site. Raises ConfigError."""
    from gateway.loadconfig import load_config

    config, _ = load_config(site)
    return site.parent / config.buffer.path, config
