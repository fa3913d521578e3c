"""The commands of commissioning: find devices, look into them, record and replay what they say."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.core.errors import ConfigError
from gateway.options import Number, where

if TYPE_CHECKING:  # the commands import what they need when they run, so that each starts quickly
    from drivers.modbus.links import Place
    from drivers.modbus.profile import Profile
    from gateway.scanning import Scan

BAUDS = ("1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200")
STOPPED = 130  # exit code after Ctrl-C
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def scan() -> None:
    """Find devices and say what they are; only harmless reads are asked."""


@scan.command("tcp")
@click.argument("net")
@click.option("--port", "ports", default="502,1502,8899/udp", show_default=True, help="Ports to try on each address.")
@click.option("--units", help="Unit ids to ask, as in 1,5-9; a few usual ones if not given.")
@click.option("--full", is_flag=True, help="Ask all unit ids from 1 to 247.")
@click.option("--timeout", type=Number(0.05, 30), default=1.0, show_default=True, help="Seconds, a question.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def scan_tcp(net: str, ports: str, units: str | None, full: bool, timeout: float, as_json: bool) -> None:
    """Scan NET, an address or a private network such as 192.168.1.0/24."""
    from drivers.scan.nets import endpoints
    from drivers.scan.probe import parse_units
    from drivers.scan.tcp import NetworkScan
    from gateway.scanning import Watch

    asked = parse_units(units) if units else ()
    targets = endpoints(net, ports)
    profiles = _profiles()
    with Watch() as watch:
        scan = NetworkScan(targets, profiles, watch, units=asked, full=full, timeout_s=timeout)
        _scan(scan, watch, as_json)


@scan.command("serial")
@click.argument("port")
@click.option("--baud", type=click.Choice(BAUDS), help="Only this rate; the usual ones if not given.")
@click.option("--units", help="Ask only these, as in 1,5-9; else a few usual ones, and all where one answers.")
@click.option("--full", is_flag=True, help="All unit ids at all settings; takes a quarter of an hour.")
@click.option("--timeout", type=Number(0.01, 5), default=0.1, show_default=True, help="Seconds, a question.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def scan_serial(port: str, baud: str | None, units: str | None, full: bool, timeout: float, as_json: bool) -> None:
    """Scan a serial PORT, rate by rate: the usual unit ids, then all where something answers."""
    from drivers.scan.probe import LINE_UNITS, parse_units
    from drivers.scan.serial import PARITIES, SETTINGS, LineScan, Setting
    from gateway.scanning import Watch

    settings = tuple(Setting(int(baud), *parity) for parity in PARITIES) if baud else SETTINGS
    asked = parse_units(units) if units else ()
    if not set(asked) <= set(LINE_UNITS):
        raise ConfigError("--units: on a serial line unit ids go from 1 to 247")
    profiles = _profiles()
    with Watch() as watch:
        scan = LineScan(port, profiles, watch, settings=settings, units=asked, full=full, timeout_s=timeout)
        _scan(scan, watch, as_json)


def _scan(scan: "Scan", watch: Any, as_json: bool) -> None:
    from gateway.scanning import as_document, show

    finished = _until_ctrl_c(scan.run())
    watch.stop()
    if as_json:
        click.echo(json.dumps(as_document(scan.devices, watch.hints, finished)))
    else:
        show(scan.devices, watch.hints, finished)
    if not finished:
        sys.exit(STOPPED)


def _until_ctrl_c(job: Coroutine[Any, Any, None]) -> bool:
    """Whether the job came to its end."""
    try:
        asyncio.run(job)
    except KeyboardInterrupt:
        return False
    return True


def _profiles() -> "dict[str, Profile]":
    """All that are shipped, and those in profiles/ beside us; one that is wrong is told of and left out."""
    from gateway.app import load_profile
    from gateway.profiles import profile_names

    here = Path.cwd()
    own = [file.stem for file in (here / "profiles").glob("*.yaml")]
    profiles: dict[str, Profile] = {}
    for name in dict.fromkeys([*profile_names(), *own]):
        try:
            profiles[name] = load_profile(name, here)
        except ConfigError as error:
            click.echo(f"holdfast: the profile {name} is left out: {error}", err=True)
    return profiles


@click.command()
@where
@click.option("--unit", type=click.IntRange(0, 255), default=1, show_default=True)
@click.option("--table", type=click.Choice(["holding", "input"]), default="holding", show_default=True)
@click.option("--from", "first", type=click.IntRange(0, 65535), required=True, help="0-based, as on the wire.")
@click.option("--count", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--like", type=Number(), help="Mark what is near this value, also scaled by 10, 100 or 1000.")
@click.option("--once", is_flag=True, help="Read once; else it is read each second until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --once.")
def explore(
    place: "Place", unit: int, table: str, first: int, count: int, like: float | None, once: bool, as_json: bool
) -> None:
    """Show registers as every type, to find what a device's display shows."""
    from drivers.modbus.links import host_and_port, link_to
    from drivers.modbus.planner import Block
    from drivers.modbus.profile import Link
    from drivers.scan.explore import Explorer
    from gateway import exploring

    if first + count > 65536:
        raise ConfigError(f"--from {first} --count {count} ends beyond register 65535")
    if place.tcp:
        place = place.at(*host_and_port(place.tcp, 502))
    link = link_to(place.channel(), rtu=place.is_rtu, wants=Link())
    explorer = Explorer(link, unit, Block(table, first, count))

    async def look() -> None:
        try:
            if once or as_json or not sys.stdout.isatty():
                exploring.show(explorer, await explorer.read(), like, as_json)
            else:
                await exploring.watch(explorer, like)
        finally:
            await link.close()

    _until_ctrl_c(look())


@click.command()
@where
@click.argument("file", type=NEW_FILE)
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="With --tcp: where the master connects to.")
@click.option("--size-mb", type=Number(0.01, 10_000), default=50, show_default=True, help="FILE and FILE.1.")
def capture(place: "Place", file: Path, listen: str, size_mb: float) -> None:
    """Record what goes over a bus into FILE, until Ctrl-C.

    With --serial it only listens: a second adapter on the line. With --tcp it stands between a
    master and the device: let the master connect to --listen.
    """
    from drivers.bus.capture import CaptureFile
    from drivers.bus.overhear import listen as listen_to
    from drivers.bus.overhear import relay
    from drivers.modbus.links import header_of, host_and_port
    from gateway.core.clock import SystemClock

    if place.udp:
        raise ConfigError(
            "a capture is of --serial or --tcp", hint="holdfast read --udp ... --capture FILE records UDP"
        )
    if place.tcp:
        place = place.at(*host_and_port(place.tcp, 502))
    try:
        host, port = host_and_port(listen, port_min=0)
    except ConfigError as error:
        raise ConfigError(f"--listen: {error}") from error
    sink = CaptureFile(file, header_of(place, listened=bool(place.serial)), SystemClock(), int(size_mb * 1e6))

    def ready(where: str) -> None:
        click.echo(f"connect the master to {where}; it reaches {place.tcp}")
        sys.stdout.flush()

    channel = place.channel()
    job = listen_to(channel, sink) if place.serial else relay(channel, sink, ready, host=host, port=port)
    try:
        _until_ctrl_c(job)
    finally:
        sink.close()
        click.echo(f"{file}: {sink.bytes_heard} bytes heard")


@click.command()
@click.argument("file", type=FILE)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On this machine; a free one if not given.")
@click.option("--pty", is_flag=True, help="Also on a pseudo-terminal, as a serial port.")
@click.option("--framing", type=click.Choice(["tcp", "rtu"]), help="Of the port; the capture's own if not given.")
@click.option("--timed", is_flag=True, help="Answer as late as the device did.")
def replay(file: Path, port: int, pty: bool, framing: str | None, timed: bool) -> None:
    """Serve a capture as a simulated device, until Ctrl-C."""
    from drivers.bus.capture import read_capture
    from drivers.simulator.replay import Replay, exchanges
    from drivers.simulator.replaying import Replaying

    header, pieces = read_capture(file)
    found = exchanges(header, pieces)
    answered = sum(bool(exchange.answer.pdu) for exchange in found)
    if not answered:
        raise ConfigError(f"{file}: there is no answer in it", hint="check rate and parity, and which end was recorded")
    device = Replay(found)
    kind = "rtu" if (framing or header.framing) == "rtu" else "tcp"
    server = Replaying(device, kind, timed=timed)  # type: ignore[arg-type]  # a str, says mypy of the conditional

    async def serve() -> None:
        units = ", ".join(map(str, device.unit_ids))
        async with server.on_tcp(port) as taken:
            click.echo(f"{len(found)} requests, {answered} answers; unit {units}")
            click.echo(f"127.0.0.1:{taken}" + (" (--framing rtu)" if kind == "rtu" else ""))
            if pty:
                async with server.on_pty() as name:
                    await _say_and_wait(name)
            await _say_and_wait()

    _until_ctrl_c(serve())


async def _say_and_wait(line: str = "") -> None:
    if line:
        click.echo(line)
    sys.stdout.flush()
    await asyncio.Event().wait()


VERBS = (scan, explore, capture, replay)
