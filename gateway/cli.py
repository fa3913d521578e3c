"""The command line: `holdfast`, one program for gateway, hub and simulator."""

from gateway import early  # isort: skip  # first, as it says

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway import (
    __version__,
    buffercommands,
    carrycommands,
    commission,
    enrolcommands,
    hubcommands,
    logs,
    synccommands,
)
from gateway.core.errors import ConfigError, HoldfastError
from gateway.options import where

if TYPE_CHECKING:  # the commands import what they need when they run, so that each starts quickly
    from drivers.modbus.links import Place

FAILED, WRONG = 1, 2

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Program(click.Group):
    """Turns our errors into one line for people and an exit code: 2 for wrong input, 1 for what failed."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HoldfastError as error:
            click.echo(f"holdfast: {error}", err=True)
            if error.hint:
                click.echo(f"  {error.hint}", err=True)
            sys.exit(WRONG if isinstance(error, ConfigError) else FAILED)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="holdfast")
@click.option("--verbose", is_flag=True, help="Log more of what happens.")
def main(verbose: bool) -> None:
    """Read field devices, keep every reading, show it on site, and bring it to the hub."""
    logs.start(logging.DEBUG if verbose else logging.INFO)


@main.command()
@click.option("--config", "file", type=FILE, required=True, help="The site's configuration, site.yaml.")
def run(file: Path) -> None:
    """Run the gateway of a site."""
    from gateway.app import run_site

    _until_stopped(lambda: run_site(file, lambda page: _say(f"the site's page: {page}")))


@main.group(invoke_without_command=True)
@click.option("--config", "file", type=FILE, help="The hub's configuration, hub.yaml.")
@click.pass_context
def hub(context: click.Context, file: Path | None) -> None:
    """Run the hub that many sites push to; or, with a COMMAND, do something for it."""
    if context.invoked_subcommand is not None:
        return
    if file is None:
        raise click.MissingParameter(ctx=context, param=context.command.params[0])
    from gateway.hubapp import load_hub_config, run_hub

    config = load_hub_config(file)
    _until_stopped(lambda: run_hub(config, file.parent, lambda page: _say(f"the hub's page: {page}")))


@main.group(invoke_without_command=True)
@click.option("--config", "file", type=FILE, help="Which devices to simulate, simulator.yaml.")
@click.pass_context
def sim(context: click.Context, file: Path | None) -> None:
    """Simulate field devices, for trials without hardware; or, with a COMMAND, many whole sites."""
    if context.invoked_subcommand is not None:
        return
    if file is None:
        raise click.MissingParameter(ctx=context, param=context.command.params[0])
    from gateway.app import run_simulator

    _until_stopped(lambda: run_simulator(file, _say))


@sim.command("fleet")
@click.option("--hub", help="The hub's address; without it, the entries for its hub.yaml are printed.")
@click.option("--nodes", type=click.IntRange(1, 20_000), default=100, show_default=True, help="How many sites.")
@click.option("--first", type=click.IntRange(1), default=1, show_default=True, help="Number of the first one.")
@click.option("--seed", default="fleet", show_default=True, help="What the sites' secrets are made of.")
@click.option("--points", type=click.IntRange(2, 1000), default=40, show_default=True,
              help="Of each of a site's three devices.")  # fmt: skip
@click.option("--every", "every_s", type=click.FloatRange(0.1), default=1.0, show_default=True,
              help="Seconds between a device's readings.")  # fmt: skip
@click.option("--push", "push_s", type=click.FloatRange(0.1), default=5.0, show_default=True,
              help="Seconds between pushes.")  # fmt: skip
@click.option("--backlog", "backlog_s", type=click.FloatRange(0), default=0.0,
              help="Seconds of readings that wait already.")  # fmt: skip
@click.option("--for", "run_s", type=click.FloatRange(0), default=float("inf"),
              help="Seconds; then all is brought to the hub, and it ends.")  # fmt: skip
@click.option("--fingerprint", help="SHA-256 of the hub's certificate.")
def sim_fleet(hub: str | None, **settings: Any) -> None:
    """Push to a hub as many sites would, each with the real sync engine."""
    from gateway.simfleet import Plan, entries, run_fleet

    plan = Plan(hub=hub or "", **settings)
    if hub is None:
        for line in entries(plan):
            click.echo(line)
        return
    _until_stopped(lambda: run_fleet(plan, _say))


@main.command()
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), default=Path("state"), show_default=True,
              help="The folder for the demonstration's files.")  # fmt: skip
def demo(state: Path) -> None:
    """Show a whole site on this machine: simulated devices, gateway and hub."""
    from gateway.demo import run_demo

    _until_stopped(lambda: run_demo(state, _say))


@main.command("check-config")
@click.argument("file", type=FILE)
def check_config(file: Path) -> None:
    """Say whether a site's configuration, with its profiles, can be used; nothing is started."""
    from drivers.bus.channel import lasting_name
    from gateway.app import Plan

    plan = Plan(file)
    for bus in plan.config.buses:
        if bus.serial is not None and (lasting := lasting_name(bus.serial)):
            click.echo(
                f"{file}: bus {bus.name}: {bus.serial} may be another adapter after a restart;\n  write {lasting}"
            )
    devices = [device for bus in plan.config.buses for device in bus.devices]
    pushing = f", {len(plan.config.push.devices)} devices that push" if plan.config.push.devices else ""
    click.echo(
        f"{file}: good; {len(plan.config.buses)} buses, {len(devices)} devices{pushing}, {len(plan.profiles)} profiles"
    )


@main.command()
@click.option("--profile", "profile", required=True, help="What kind of device it is, for example eastron-sdm630.")
@click.option("--unit", type=click.IntRange(0, 255), help="Its unit id; the profile's usual one if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--capture", type=click.Path(dir_okay=False, path_type=Path), help="Keep each byte in this file.")
@where
def read(profile: str, place: "Place", unit: int | None, as_json: bool, capture: Path | None) -> None:
    """Read a device once, without any configuration, and print what it says."""
    from gateway.readonce import present, read_once

    result = asyncio.run(read_once(profile, place, unit, capture))
    present(result, as_json)


@main.group()
def profile() -> None:
    """What kinds of device can be read; and help for those who write a profile."""


@profile.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
def profile_list(as_json: bool) -> None:
    """List the profiles that are shipped."""
    from gateway.catalogue import listed, present

    present(listed(), as_json)


@profile.command("check")
@click.argument("file", type=FILE)
def profile_check(file: Path) -> None:
    """Say what a profile offers, or everything that is wrong with it."""
    from gateway.catalogue import check

    click.echo(check(file))


@profile.command("schema")
def profile_schema() -> None:
    """Print the JSON Schema of profiles, for editors."""
    from gateway.catalogue import schema

    click.echo(schema(), nl=False)


for verb in (*commission.VERBS, *buffercommands.VERBS, synccommands.sync, enrolcommands.enrol):
    main.add_command(verb)
for verb in hubcommands.VERBS:
    hub.add_command(verb)
for verb in carrycommands.VERBS:
    synccommands.sync.add_command(verb)

early.over()


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _until_stopped(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        asyncio.run(start())
    except* HoldfastError as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[HoldfastError]) -> HoldfastError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, HoldfastError)
    return error


if __name__ == "__main__":
    main()
