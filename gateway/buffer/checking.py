"""Looks through the whole file once, slowly, beside everything else."""

import contextlib
import sqlite3
import threading
from pathlib import Path

from gateway.core.diskwords import DAMAGED, primary_code

STEPS = 20_000  # of SQLite's machine, some milliseconds' work; then it rests as long
REST_S = 0.005


def damage(path: Path, stop: threading.Event) -> str:
    """What is wrong with the file's pages; empty where nothing is, it cannot be looked at, or `stop` was set.

    Blocks for as long as it takes to read the file.
    """

    def rest() -> bool:
        return stop.wait(REST_S)

    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(_opened(path)) as db:
        db.set_progress_handler(rest, STEPS)
        try:
            found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            return str(error) if primary_code(error) in DAMAGED else ""
        return "" if found == "ok" else found
    return ""


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
