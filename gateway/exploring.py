"""How registers that are explored look: a table, once or each second anew, or JSON."""

import asyncio
import json

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from drivers.modbus.requests import EXCEPTIONS
from drivers.scan.explore import TYPES, Explorer, Row, Value, merged, rows
from gateway.core.errors import DeviceError

EVERY_S = 1.0


def show(explorer: Explorer, words: dict[int, int], like: float | None, as_json: bool) -> None:
    """Print what was read."""
    if as_json:
        click.echo(json.dumps(as_document(explorer, words, like)))
    else:
        Console(width=None if Console().is_terminal else 140).print(table(explorer, words, like))


async def watch(explorer: Explorer, like: float | None) -> None:
    """Show it each second. Run until cancelled. Raises DeviceError where nothing comes at all."""
    words = await explorer.read()
    with Live(table(explorer, words, like), auto_refresh=False) as live:
        while True:
            await asyncio.sleep(EVERY_S)
            shown = table(explorer, words, like)
            try:
                words = await explorer.read()
                shown = table(explorer, words, like)
            except DeviceError as error:
                shown.title = f"[red]{error}[/]"  # over what it said last
            live.update(shown, refresh=True)


def as_document(explorer: Explorer, words: dict[int, int], like: float | None) -> dict[str, object]:
    """{"registers": [{"register", "hex", "values": {type: value or null}, "like": [types]}], "refused": [...]}."""
    registers = [
        {"register": row.register, "hex": f"{row.word:04x}", "values": row.values, "like": list(row.like)}
        for row in rows(words, like)
    ]
    refused = [
        {"register": block.address, "count": block.count, "exception": code}
        for block, code in merged(explorer.refused)
    ]  # fmt: skip
    return {"registers": registers, "refused": refused}


def table(explorer: Explorer, words: dict[int, int], like: float | None) -> Table:
    """A line a register, what is near stands out; below it what is refused."""
    found = Table("register", "hex", *TYPES, box=None, padding=(0, 1), caption_justify="left")
    for row in rows(words, like):
        found.add_row(*_cells(row))
    found.caption = "\n".join(
        f"refused: {f'{block.address}-{block.end - 1}' if block.count > 1 else block.address}"
        f" ({EXCEPTIONS.get(code, f'exception {code}')})"
        for block, code in merged(explorer.refused)
    )
    return found


def _cells(row: Row) -> list[str]:
    cells = [_cell(row.values[name]) for name in TYPES]
    marked = [f"[bold reverse]*{c}[/]" if name in row.like else c for name, c in zip(TYPES, cells, strict=True)]
    return [str(row.register), f"{row.word:04x}", *marked]


def _cell(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value.replace("[", "\\[")
    return f"{value:.6g}" if isinstance(value, float) else str(value)
