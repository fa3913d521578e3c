"""`holdfast read`: one device, read once, for an installer who wants to see that it answers."""

import json
from pathlib import Path

import click

from drivers.bus.capture import CaptureFile
from drivers.bus.tap import TappedChannel
from drivers.modbus.device import ModbusDevice
from drivers.modbus.links import Place, header_of, host_and_port, link_to
from drivers.modbus.points import PointReading
from gateway.app import load_profile
from gateway.buses import NOT_MODBUS
from gateway.core.clock import SystemClock
from gateway.core.errors import ConfigError


async def read_once(
    profile_name: str, place: Place, unit_id: int | None, capture: Path | None = None
) -> dict[str, object]:
    """{"profile", "device": {...}, "points": [{"key", "value", "unit", "quality", "table", "register", "raw"}]}.

    Registers are as on the wire; a value that is missing is null; SunSpec's points have `model` and
    `path` too. `capture` is a file that gets each byte that went over the bus. Raises ConfigError for a
    wrong address or profile, DeviceError without an answer.
    """
    if profile_name in NOT_MODBUS:
        raise ConfigError(
            f"{profile_name} speaks no Modbus, and cannot be read so",
            hint="put it on a bus in a site's configuration; docs/buses.md says how",
        )
    profile = load_profile(profile_name, Path.cwd())
    if place.tcp:
        place = place.at(*host_and_port(place.tcp, profile.link.port))
    channel = place.channel()
    clock = SystemClock()
    file = CaptureFile(capture, header_of(place), clock) if capture else None
    tapped = TappedChannel(channel, file) if file else channel
    link = link_to(tapped, rtu=place.is_rtu, wants=profile.link)
    unit_id = profile.link.unit_id if unit_id is None else unit_id
    device = ModbusDevice(channel.name, profile_name, profile, link, clock, unit_id=unit_id)
    try:
        readings = await device.read_points()
    finally:
        await link.close()
        if file:
            file.close()
    about = {"make": profile.make, "model": profile.model, "where": channel.name, "unit_id": unit_id}
    return {"profile": profile_name, "device": about, "points": [_point(reading) for reading in readings]}


def _point(reading: PointReading) -> dict[str, object]:
    placed = reading.placed
    point: dict[str, object] = {
        "key": placed.point.key, "value": reading.value, "unit": placed.point.unit, "quality": str(reading.quality),
        "table": placed.block.table, "register": placed.block.address, "raw": reading.raw,
    }  # fmt: skip
    return point if placed.model is None else point | {"model": placed.model, "path": placed.path}


def present(result: dict[str, object], as_json: bool) -> None:
    """Print what `read_once` gave."""
    if as_json:
        click.echo(json.dumps(result))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("point", "value", "unit", "register", "raw", title=f"{result['device']}")
    points: list[dict[str, object]] = result["points"]  # type: ignore[assignment]  # as `read_once` says
    for point in points:
        value = "-" if point["value"] is None else str(point["value"])
        table.add_row(
            str(point["key"]), value, str(point["unit"]), f"{point['table']} {point['register']}", str(point["raw"])
        )
    Console().print(table)
