"""A bar on the terminal while something long runs; on standard error, and nothing where that is no terminal."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

Step = Callable[[int, int], None]
"""Told how much is done, and of how much; of 0: nobody knows."""


@contextlib.contextmanager
def bar(what: str) -> Iterator[Step]:
    """Shows `what`, how far it is and for how long it has run."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
