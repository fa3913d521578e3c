"""`holdfast sync export` and `holdfast sync receipt`: for a site without any line to the hub."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.core.errors import CodecError, ConfigError

if TYPE_CHECKING:  # the commands import what they need when they run, so that each starts quickly
    from gateway.config import HubLink

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CONFIG = click.option("--config", "site", type=FILE, required=True, help="The site's configuration, site.yaml.")


@click.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@CONFIG
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def export_(file: Path, site: Path, force: bool) -> None:
    """Write all that the hub does not have into FILE, signed, for `holdfast hub import`; the gateway may run."""
    from gateway.carryout import export
    from gateway.core.clock import SystemClock
    from gateway.core.wording import bytes_text

    buffer, hub = _of(site)
    made = export(buffer, hub, SystemClock(), file, force=force)
    click.echo(f"{file}: {made.records:,} records, {made.events:,} events, {bytes_text(made.bytes)}")


@click.command("receipt")
@click.argument("file", type=FILE)
@CONFIG
def receipt_(file: Path, site: Path) -> None:
    """Take the receipt FILE of an import: what the hub has is not sent any more; the gateway may run."""
    import json

    from gateway.carryreceipt import acknowledge, read
    from gateway.controlsocket import ask

    buffer, hub = _of(site)
    body = file.read_bytes()
    try:
        found = read(body, hub)
    except CodecError as error:
        raise CodecError(f"{file}: {error}", hint=error.hint) from error
    answer = ask(site, "POST", "/api/v1/sync/receipt", body, "application/octet-stream")
    told = json.loads(answer)["told"] if answer else found.text(asyncio.run(acknowledge(buffer, found)))
    click.echo(f"{file}: {told}")


VERBS = (export_, receipt_)


def _of(site: Path) -> "tuple[Path, HubLink]":
    """The buffer's file and its hub. Raises ConfigError."""
    from gateway.loadconfig import load_config

    config, _ = load_config(site)
    if config.hub is None:
        raise ConfigError(f"{site}: hub: is not there", hint="say whose hub it is: the file is signed for it")
    return site.parent / config.buffer.path, config.hub
