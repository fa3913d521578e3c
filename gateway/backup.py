"""A copy of the buffer's file, made while the gateway goes on writing."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import buffercheck
from gateway.bar import Step, bar
from gateway.bufferfile import Life, connect, life, looking_at, snapshot, trouble
from gateway.core.diskwords import DAMAGED, primary_code
from gateway.core.errors import ConfigError, StorageError
from gateway.newfile import new_file

BYTES_A_STEP = 1 << 20
ASIDES = ("", "-wal", "-shm", "-journal", ".lock")


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup holds, and how large it is."""

    life: Life
    bytes: int


def backup(buffer: Path, file: Path, *, force: bool = False) -> Copied:
    """Copy what is committed now into `file`, and verify it. Raises HoldfastError; then there is no `file`."""
    refuse_own(buffer, file)
    with new_file(file, force=force) as part:
        with looking_at(buffer) as source:
            copied = copy(source, buffer, part)
        verify(part, copied)
        return Copied(copied, part.stat().st_size)


def refuse_own(buffer: Path, file: Path) -> None:
    """Raises ConfigError where `file` is one of the buffer's own."""
    if file.resolve() in [buffer.with_name(buffer.name + end).resolve() for end in ASIDES]:
        raise ConfigError(f"{file}: that is the buffer's own file", hint="name another")


def copy(source: sqlite3.Connection, path: Path, part: Path) -> Life:
    """What `source`, the file `path`, holds now, in a file that stands alone. Raises StorageError.

    SQLite begins a backup anew whenever another process has committed, which under a running gateway
    never ends; a snapshot that is kept until the end spares it that.
    """
    for end in ASIDES[1:]:  # of one that was killed
        part.with_name(part.name + end).unlink(missing_ok=True)
    try:
        with snapshot(source), bar(f"copying {path.name}") as step:
            _check_room(source, part)
            copied = life(source)
            with contextlib.closing(connect(part, "rwc")) as target:
                target.execute("PRAGMA journal_mode = OFF")
                target.execute("PRAGMA synchronous = OFF")  # `new_file` brings it to the disk, once
                page_size = source.execute("PRAGMA page_size").fetchone()[0]
                source.backup(target, pages=BYTES_A_STEP // page_size, progress=_told(step))
                target.execute("PRAGMA journal_mode = DELETE")  # one file, which also opens on a read-only disk
    except sqlite3.Error as error:
        raise trouble(path if primary_code(error) in DAMAGED else part, error) from error
    return copied


def verify(part: Path, copied: Life | None) -> Life:
    """All of the file is read; it is sound, and holds what was copied. Raises StorageError."""
    with looking_at(part) as db, bar("verifying the copy") as step:
        for problem in buffercheck.problems(db, step):
            hint = "look at the buffer with `holdfast buffer check`"
            raise StorageError(f"the copy is not sound: {problem}", hint=hint)
        found = life(db)
    if copied is not None and found != copied:
        raise StorageError(f"the copy is not what was copied: {found} instead of {copied}", hint="try again")
    return found


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
