"""A backup in the place of the buffer's file; what was there is set aside, never deleted."""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.backup import copy, refuse_own, verify
from gateway.bufferfile import Life, connect, life, looking_at
from gateway.core.diskwords import storage_error
from gateway.core.errors import StorageError
from gateway.core.filelock import FileLock
from gateway.core.span import Span
from gateway.newfile import new_file

NEW_EPOCH = "UPDATE meta SET value = ? WHERE key = 'epoch'"
UNSENT = "SELECT lo, hi FROM span WHERE stream = 'records'"
HELD = "SELECT lo, hi FROM segment WHERE hi > ?1 UNION ALL SELECT lo, hi FROM frame WHERE hi > ?1"


@dataclass(frozen=True, slots=True)
class Aside:
    """The file that was set aside."""

    file: Path
    is_same_life: bool  # the backup was made of it; else all that it holds counts as lacking
    lacking: int | None  # records that are in it and not in the backup; None: it cannot be read
    unsent: int  # of these, what the hub has not acknowledged


@dataclass(frozen=True, slots=True)
class Restored:
    """What is in place now, and what was there."""

    head: int
    unsent: int
    aside: Aside | None  # None: there was no file


def restore(buffer: Path, file: Path, now: datetime) -> Restored:
    """Put `file` in the place of `buffer`. Raises HoldfastError; then the buffer is as it was.

    The hub may know seqs after the backup's head from the file that is set aside. The restored buffer gives them
    out once more, and so it is a new epoch. What was unsent when the backup was made is sent again.
    """
    refuse_own(buffer, file)
    buffer.parent.mkdir(parents=True, exist_ok=True)
    with alone(buffer), new_file(buffer, force=True) as part:
        with looking_at(file) as source:
            copied = copy(source, file, part)
        verify(part, copied)
        with contextlib.closing(connect(part, "rw")) as db:
            db.execute(NEW_EPOCH, (secrets.token_hex(8),))
            unsent = _unsent(db, Span(0, copied.head))
        give_to_owner(part, buffer if buffer.exists() else buffer.parent)
        return Restored(copied.head, unsent, _set_aside(buffer, now, copied) if buffer.exists() else None)


@contextlib.contextmanager
def alone(buffer: Path) -> Iterator[None]:
    """Nobody else opens the buffer meanwhile. Raises StorageError where a gateway has it open."""
    lock = FileLock(buffer)
    try:
        lock.take()
    except OSError as error:
        raise storage_error(buffer, error) from error
    try:
        yield
    finally:
        lock.release()


def _set_aside(buffer: Path, now: datetime, backup: Life) -> Aside:
    """Give `buffer` a second name; the caller then puts another file in the place of the first."""
    file = buffer.with_name(f"{buffer.name}.before-restore-{now:%Y%m%d-%H%M%S}")
    try:
        with looking_at(buffer) as db:
            aside = _compared(db, file, backup)
        with contextlib.closing(connect(buffer, "rw")) as db:  # the last to close it brings its log into it
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (StorageError, sqlite3.Error):
        aside = Aside(file, False, None, 0)
    for end in ("-wal", "-shm"):  # they are still there where it is damaged, and must not meet another file
        with contextlib.suppress(FileNotFoundError):
            buffer.with_name(buffer.name + end).rename(file.with_name(file.name + end))
    try:
        file.hardlink_to(buffer)  # so that there is no moment without a buffer
    except OSError:  # a file system without links
        buffer.rename(file)
    return aside


def _compared(db: sqlite3.Connection, file: Path, backup: Life) -> Aside:
    present = life(db)
    is_same_life = present.epoch == backup.epoch
    lacking = Span(backup.head if is_same_life else 0, present.head)
    held = sum(len(Span(lo, hi).within(lacking)) for lo, hi in db.execute(HELD, (lacking.lo,)))
    return Aside(file, is_same_life, held, _unsent(db, lacking))


def _unsent(db: sqlite3.Connection, of: Span) -> int:
    """How many seqs `of` this the hub has not acknowledged, or so the file says."""
    spans = db.execute(UNSENT).fetchall() or [(0, None)]
    return sum(len(Span(lo, of.hi if hi is None else hi).within(of)) for lo, hi in spans)


def give_to_owner(part: Path, model: Path) -> None:
    """Root restores, the gateway's or the hub's user goes on writing."""
    owner = model.stat()
    if os.geteuid() == 0:
        os.chown(part, owner.st_uid, owner.st_gid)
    part.chmod(owner.st_mode & 0o666)
