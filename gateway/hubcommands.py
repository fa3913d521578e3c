"""The commands of `holdfast hub` beside running it."""

import asyncio
import sys
from pathlib import Path

import click

from gateway.amqpcommands import amqp_provision

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CONFIG = click.option("--config", "hub", type=FILE, required=True, help="The hub's configuration, hub.yaml.")

FORCE = click.option("--force", is_flag=True, help="Overwrite a receipt that is there.")


@click.command("import")
@click.argument("file", type=FILE)
@CONFIG
@click.option("--receipt", type=click.Path(dir_okay=False, path_type=Path), help="FILE.receipt if not given.")
@FORCE
def import_(file: Path, hub: Path, receipt: Path | None, force: bool) -> None:
    """Take FILE, which `holdfast sync export` made, and write the receipt for the gateway; the hub may run."""
    from gateway.carryin import take

    receipt = receipt or file.with_name(f"{file.name}.receipt")
    taken = asyncio.run(take(hub, file, receipt, force=force))
    click.echo(f"{file}: from {taken.node}: {taken.new:,} records are new, {taken.known:,} were here already")
    if taken.rejected:
        click.echo(f"  {taken.rejected:,} records are refused; the gateway says why when it sends them")
    click.echo(f"  take {receipt} back: holdfast sync receipt {receipt.name} --config site.yaml")
    if taken.refused:
        click.echo(f"holdfast: {taken.refused} batches were not taken; the gateway keeps them", err=True)
        sys.exit(1)


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@CONFIG
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def backup_(file: Path, hub: Path, force: bool) -> None:
    """Write all that the hub has into FILE and verify it; the hub may run. hub.yaml and its keys are not in it."""
    from gateway.hubapp import load_hub_config
    from gateway.hubbackup import backup

    held = backup(load_hub_config(hub).store, hub.parent, file, force=force)
    click.echo(f"{file}: good; {held}")
    click.echo("  it holds what people and nodes sign in with: keep it as you keep the hub")


@click.command("restore")
@click.argument("file", type=FILE)
@CONFIG
def restore_(file: Path, hub: Path) -> None:
    """Put the backup FILE in the place of the hub's store; stop the hub first.

    A SQLite file that was there is set aside; on PostgreSQL name an empty database in hub.yaml first.
    """
    from datetime import datetime

    from gateway.hubapp import load_hub_config
    from gateway.hubbackup import restore

    before = restore(load_hub_config(hub).store, hub.parent, file, datetime.now().astimezone())
    click.echo(f"restored; {before}")
    click.echo("  what the sites still have and this lacks they send again when they compare, within a week;")
    click.echo("  nodes that were revoked since then are let in again: revoke them once more;")
    click.echo("  gateways enrolled since then, or with a new secret, are refused: enrol them once more, with --again")


@click.command("password")
@click.argument("name")
@CONFIG
def password_(name: str, hub: Path) -> None:
    """Make a new password for NAME, who has lost it or is locked out; where the store is a file, stop the hub first."""
    from gateway.hubapp import load_hub_config, set_password

    made = asyncio.run(set_password(load_hub_config(hub), hub.parent, name))
    click.echo(f"the new password of {name}, shown only now: {made}")


@click.command("check")
@CONFIG
@click.option("--days", type=click.IntRange(0, 36_500), default=2, show_default=True,
              help="Of so many days make the roll-ups once more, and compare.")  # fmt: skip
def check_(hub: Path, days: int) -> None:
    """Say whether all that the hub has can be read and fits together; the hub may run."""
    from gateway.hubapp import load_hub_config
    from gateway.hubcheck import check

    found = asyncio.run(check(load_hub_config(hub).store, hub.parent, days))
    for problem in found:
        click.echo(problem)
    if found:
        click.echo("What is named is wrong, the rest is sound. Put a backup back with `holdfast hub restore`;")
        click.echo("what the sites still have they send again when they compare.")
        sys.exit(1)
    click.echo("all is well")


VERBS = (check_, import_, amqp_provision, backup_, restore_, password_)
