"""How a scan looks on a terminal: a bar while it runs, then what was found and the configuration for it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from drivers.scan.found import Found
from drivers.scan.snippet import snippet


class Scan(Protocol):
    """A scan that is about to run."""

    @property
    def devices(self) -> list[Found]: ...
    async def run(self) -> None: ...


class Watch:
    """Shows how far a scan is, on standard error; meets drivers.scan.found.Watcher."""

    def __init__(self) -> None:
        self.hints: list[str] = []
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("nothing found yet", total=None)
        self._found = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._progress.stop()

    def step(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def found(self, device: Found) -> None:
        self._found += 1
        self._progress.update(self._task, description=f"{self._found} found")
        self._progress.console.print(
            f"{_where(device)} unit {device.unit_id}: {device.what}", highlight=False, markup=False, soft_wrap=True
        )

    def hint(self, text: str) -> None:
        self.hints.append(text)


def show(devices: Sequence[Found], hints: Sequence[str], finished: bool) -> None:
    """Print a table of the devices, what else is worth a look, and the configuration to paste."""
    if not finished:
        click.echo("stopped; found until then:")
    if devices:
        table = Table("where", "unit", "what it is", "profile", "note")
        for device in devices:
            profile = device.identity.profile or "-"
            others = f"{', '.join(device.identity.others)} too" if device.identity.others else ""
            note = "; ".join(part for part in (device.note, others) if part)
            table.add_row(_where(device), str(device.unit_id), device.what, profile, note)
        Console().print(table)
    else:
        click.echo("nothing was found")
    for hint in hints:
        click.echo(f"! {hint}")
    if devices:
        click.echo(f"\n# for the site's configuration:\n{snippet(devices)}", nl=False)


def as_document(devices: Sequence[Found], hints: Sequence[str], finished: bool) -> dict[str, object]:
    """{"finished", "devices": [{"where", "what"} and all of `Found`], "hints", "snippet"}."""
    listed = [{"where": _where(device), "what": device.what} | asdict(device) for device in devices]
    return {"finished": finished, "devices": listed, "hints": list(hints), "snippet": snippet(devices)}


def _where(device: Found) -> str:
    place = device.place
    if place.serial:
        return f"{place.channel().name} {place.baud} {place.parity}"
    if place.udp:
        return f"{place.udp}/udp"
    return f"{place.tcp} (rtu)" if place.is_rtu else place.tcp
