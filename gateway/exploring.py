"""How registers that are explored look: a table, once or each second anew, or JSON."""

import asyncio
import json

import click
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from drivers.modbus.requests import EXCEPTIONS
from drivers.scan.explore import TYPES, Explorer, Row, Value, merged, rows
from gateway.core.errors import DeviceError

EVERY_S = 1.0
WIDE = 115  # columns, for all types
NARROW = ("u16", "i16", "u32", "u32 little", "f32", "f32 little", "text")
LIKELY = (1e-4, 1e9)  # a float beyond is hardly one; shown as a dot, so that the real ones stand out


def show(explorer: Explorer, words: dict[int, int], like: float | None, as_json: bool) -> None:
    """Print what was read."""
    if as_json:
        click.echo(json.dumps(as_document(explorer, words, like)))
    else:
        console = Console() if Console().is_terminal else Console(width=WIDE)
        console.print(table(explorer, words, like, console.width))


async def watch(explorer: Explorer, like: float | None) -> None:
    """Show it each second. Run until cancelled. Raises DeviceError where nothing comes at all."""
    words = await explorer.read()
    with Live(auto_refresh=False) as live:
        live.update(table(explorer, words, like, live.console.width), refresh=True)
        while True:
            await asyncio.sleep(EVERY_S)
            shown = table(explorer, words, like, live.console.width)
            try:
                words = await explorer.read()
                shown = table(explorer, words, like, live.console.width)
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


def table(explorer: Explorer, words: dict[int, int], like: float | None, width: int) -> Table:
    """A line a register, what is near stands out; below it what is refused. A narrow one has fewer types."""
    types = TYPES if width >= WIDE else NARROW
    found = Table("register", "hex", *types, box=None, padding=(0, 1, 0, 0), caption_justify="left")
    for row in rows(words, like):
        found.add_row(*_cells(row, types))
    found.caption = "\n".join(
        f"refused: {f'{block.address}-{block.end - 1}' if block.count > 1 else block.address}"
        f" ({EXCEPTIONS.get(code, f'exception {code}')})"
        for block, code in merged(explorer.refused)
    )
    return found


def _cells(row: Row, types: tuple[str, ...]) -> list[str]:
    cells = [f"[bold reverse]*{_cell(row.values[name])}[/]" if name in row.like else _cell(row.values[name])
             for name in types]  # fmt: skip
    return [str(row.register), f"{row.word:04x}", *cells]


def _cell(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, int):
        return str(value)
    return f"{value:.6g}" if value == 0 or LIKELY[0] <= abs(value) < LIKELY[1] else "·"
