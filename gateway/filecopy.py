"""A copy of an SQLite file, made while another process goes on writing."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from gateway.bar import Step, bar
from gateway.bufferfile import connect, trouble
from gateway.core.diskwords import DAMAGED, primary_code
from gateway.core.errors import StorageError

BYTES_A_STEP = 1 << 20
ASIDES = ("", "-wal", "-shm", "-journal", ".lock")  # what may stand beside a file, and belongs to it


def copy_file(source: sqlite3.Connection, path: Path, part: Path) -> None:
    """What `source`, the file `path`, holds in the snapshot that it has begun, in a file that stands alone.

    SQLite begins a backup anew whenever another process has committed, which beside a running gateway or hub never
    ends; a snapshot that is kept until the end spares it that. Raises StorageError.
    """
    for end in ASIDES[1:]:  # of one that was killed
        part.with_name(part.name + end).unlink(missing_ok=True)
    try:
        with bar(f"copying {path.name}") as step:
            _check_room(source, part)
            with contextlib.closing(connect(part, "rwc")) as target:
                target.execute("PRAGMA journal_mode = OFF")
                target.execute("PRAGMA synchronous = OFF")  # `new_file` brings it to the disk, once
                page_size = source.execute("PRAGMA page_size").fetchone()[0]
                source.backup(target, pages=BYTES_A_STEP // page_size, progress=_told(step))
                target.execute("PRAGMA journal_mode = DELETE")  # one file, which also opens on a read-only disk
    except sqlite3.Error as error:
        raise trouble(path if primary_code(error) in DAMAGED else part, error) from error


def _told(step: Step) -> Callable[[int, int, int], object]:
    return lambda _, remaining, total: step(total - remaining, total)


def _check_room(source: sqlite3.Connection, part: Path) -> None:
    pages, size = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    free = shutil.disk_usage(part.parent).free
    if free < pages * size:
        raise StorageError(
            f"{part.parent}: {pages * size / 1e6:,.1f} MB are needed, {free / 1e6:,.1f} MB are free",
            hint="make room there, or name a file on another disk",
        )
