"""A copy of the buffer's file, made while the gateway goes on writing."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from gateway import buffercheck
from gateway.bar import bar
from gateway.bufferfile import Life, life, looking_at, snapshot
from gateway.core.errors import ConfigError, StorageError
from gateway.filecopy import ASIDES, copy_file
from gateway.newfile import new_file


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
    """What `source`, the file `path`, holds now, in a file that stands alone. Raises StorageError."""
    with snapshot(source):
        copied = life(source)
        copy_file(source, path, part)
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
