"""The technician's commands on the way to the hub: they ask the gateway that runs, or else its buffer's file."""

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from gateway.core.errors import HoldfastError

if TYPE_CHECKING:  # the commands import what they need when they run, so that each starts quickly
    from gateway.core.status import RefusedLine, SyncState
    from gateway.core.syncwording import Fact

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CONFIG = click.option("--config", "site", type=FILE, required=True, help="The site's configuration, site.yaml.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def sync() -> None:
    """Say how far the hub is, what it refuses, and have it looked after."""


@sync.command("status")
@CONFIG
@AS_JSON
def sync_status(site: Path, as_json: bool) -> None:
    """Say what the hub has, what waits for it, and what keeps it."""
    from zoneinfo import ZoneInfo

    import msgspec

    from gateway.core.clock import SystemClock
    from gateway.loadconfig import load_config

    config, _ = load_config(site)
    running, state = _state(site)
    if as_json:
        known = None if running else ("hub", "backlog", "streams", "quarantined")
        told = {name: value for name, value in msgspec.to_builtins(state).items() if known is None or name in known}
        click.echo(msgspec.json.encode({"running": running} | told))
    else:
        now, zone = SystemClock().wall_ms(), ZoneInfo(config.site.timezone)
        click.echo("\n".join(status_lines(state, now, zone, running=running)))


def status_lines(state: "SyncState", now: int, zone: tzinfo, *, running: bool) -> Iterator[str]:
    """The state for people; without a running gateway only what its file can tell."""
    from gateway.core.syncwording import holding_facts, hub_facts, hub_text, progress_facts, sync_text

    if not running:
        yield "No gateway runs; this is what its buffer's file says."
    yield sync_text(state)
    if not state.hub:
        return
    yield hub_text(state)
    if running:
        yield from _table(hub_facts(state, now, zone))
    for stream in state.streams:
        yield f"{stream.name}:"
        if stream.error:
            yield f"  {stream.error}"
        yield from _table(holding_facts(stream, now, zone))
        if running:
            yield from _table(progress_facts(stream, now, zone))
    if not running:
        yield f"quarantine: {state.quarantined:,}"


def _table(facts: "Iterable[Fact]") -> Iterator[str]:
    for name, text, more in facts:
        yield f"  {name:<18} {text}" + (f" ({more})" if more else "")


@sync.command("compare")
@CONFIG
def sync_compare(site: Path) -> None:
    """Have both ends compare what they hold, now; `status` tells what came of it."""
    if _ask(site, "POST", "/api/v1/sync/compare", b"{}") is None:
        _not_running()
    click.echo("asked for; `holdfast sync status` tells what came of it")


@sync.group("quarantine")
def quarantine() -> None:
    """What the hub refuses for good."""


@quarantine.command("list")
@CONFIG
@AS_JSON
def quarantine_list(site: Path, as_json: bool) -> None:
    """List it, the newest first, with the hub's reasons; with --json an object a line."""
    from zoneinfo import ZoneInfo

    import msgspec

    from gateway.core.syncwording import time_text
    from gateway.loadconfig import load_config

    zone = ZoneInfo(load_config(site)[0].site.timezone)
    count = 0
    for count, line in enumerate(_refused(site), start=1):  # noqa: B007 - told after the loop
        if as_json:
            click.echo(msgspec.json.encode(line))
        else:
            again = "; it is sent again" if line.again else ""
            what = ", ".join(filter(None, (line.device, line.what)))
            click.echo(f"{line.id:>6}  {line.kind[:-1]} of {time_text(line.ts, zone)}, {what}: {line.reason}{again}")
    if not count and not as_json:
        click.echo("the hub has refused nothing")


@quarantine.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@CONFIG
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def quarantine_export(file: Path, site: Path, force: bool) -> None:
    """Write it into FILE, with values and reasons: NDJSON, the newest first."""
    import msgspec

    from gateway.newfile import new_file

    count = 0
    with new_file(file, force=force) as part, part.open("wb") as to:
        for line in _refused(site):
            to.write(msgspec.json.encode(line) + b"\n")
            count += 1
    click.echo(f"{file}: {count:,} entries")


@quarantine.command("resend")
@click.argument("ids", type=int, nargs=-1)
@CONFIG
@click.option("--all", "everything", is_flag=True, help="All of it.")
def quarantine_resend(ids: tuple[int, ...], site: Path, everything: bool) -> None:
    """Have the entries IDS, as `list` names them, sent once more; the gateway has to run."""
    import msgspec

    if bool(ids) == everything:
        raise click.UsageError("expected the ids of entries, or --all")
    if missing := sorted(set(ids) - {line.id for line in (_refused(site) if ids else ())}):
        hint = "`holdfast sync quarantine list` says what there is"
        raise HoldfastError(f"not in the quarantine: {', '.join(map(str, missing))}", hint=hint)
    body = msgspec.json.encode({"ids": None if everything else ids})
    if _ask(site, "POST", "/api/v1/sync/quarantine/resend", body) is None:
        _not_running()
    click.echo("asked for; what the hub takes leaves the quarantine")


def _state(site: Path) -> "tuple[bool, SyncState]":
    """Whether the gateway runs, and how far the hub is."""
    import msgspec

    from gateway.bufferfile import looking_at
    from gateway.core.status import SyncState
    from gateway.syncfile import sync_state

    answer = _ask(site, "GET", "/api/v1/sync")
    if answer is not None:
        return True, msgspec.json.decode(answer, type=SyncState)
    buffer, hub = _site(site)
    with looking_at(buffer) as db:
        return False, sync_state(db, hub)


def _refused(site: Path) -> "Iterator[RefusedLine]":
    from gateway.bufferfile import looking_at
    from gateway.syncfile import refused

    with looking_at(_site(site)[0]) as db:
        yield from refused(db)


def _ask(site: Path, method: str, route: str, body: bytes | None = None) -> bytes | None:
    """What the site's gateway answers; None where none runs. Raises HoldfastError."""
    from gateway.controlsocket import ask

    return ask(site, method, route, body)


def _site(site: Path) -> tuple[Path, str]:
    """The buffer's file of a site, and its hub's address; empty without one. Raises ConfigError."""
    from gateway.loadconfig import load_config

    config, _ = load_config(site)
    return site.parent / config.buffer.path, config.hub.url if config.hub else ""


def _not_running() -> NoReturn:
    raise HoldfastError("no gateway of this site runs", hint="start it: it is the one that reaches the hub")
