"""`holdfast read`: one device, read once, for an installer who wants to see that it answers."""

import json

import click

from drivers.modbus.device import ModbusDevice
from drivers.modbus.link import TcpLink
from drivers.modbus.points import PointReading
from gateway.app import load_profile
from gateway.core.clock import SystemClock
from gateway.core.errors import ConfigError


async def read_once(profile_name: str, endpoint: str, unit_id: int | None, framing: str) -> dict[str, object]:
    """{"profile", "device": {...}, "points": [{"key", "value", "unit", "quality", "table", "register", "raw"}]}.

    Registers are as on the wire; a value that is missing is null; SunSpec's points have `model` and
    `path` too. Raises ConfigError for a wrong address or profile, DeviceError without an answer.
    """
    profile = load_profile(profile_name)
    host, port = _endpoint(endpoint, profile.link.port)
    link = TcpLink(host, port, framing, settle_s=profile.link.settle_s)
    unit_id = profile.link.unit_id if unit_id is None else unit_id
    device = ModbusDevice(f"{host}:{port}", profile_name, profile, link, SystemClock(), unit_id=unit_id)
    try:
        readings = await device.read_points()
    finally:
        await link.close()
    about = {"make": profile.make, "model": profile.model, "tcp": f"{host}:{port}", "unit_id": unit_id}
    return {"profile": profile_name, "device": about, "points": [_point(reading) for reading in readings]}


def _endpoint(endpoint: str, default_port: int) -> tuple[str, int]:
    host, colon, port = endpoint.rpartition(":")
    if not colon or endpoint.endswith("]"):
        return endpoint.strip("[]"), default_port
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"--tcp: {endpoint}: expected HOST or HOST:PORT")
    return host.strip("[]"), int(port)


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
