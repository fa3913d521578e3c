"""A buffer's file as the technician's commands look at it: read only, while the gateway runs or not.

They are no part of the gateway's loop, so they use plain sqlite3.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import msgspec

from gateway.buffer.reading import EPOCH, HEAD
from gateway.core.diskwords import DAMAGED, primary_code, storage_error
from gateway.core.errors import RefusedFileError, StorageError
from gateway.core.migrating import READABLE_BY
from gateway.core.model import Layout, decode_layout

FIRST_BYTES = b"SQLite format 3\0"
OURS = {"meta", "layout", "frame", "segment", "block", "event", "span"}
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
LAYOUTS = "SELECT id, encoded FROM layout"
COUNTS = "SELECT (SELECT count(*) FROM segment), (SELECT count(*) FROM frame), (SELECT count(*) FROM event)"


@dataclass(frozen=True, slots=True)
class Life:
    """What tells one state of a buffer from another."""

    epoch: str
    head: int
    segments: int
    frames: int
    events: int


@contextlib.contextmanager
def looking_at(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads. Raises StorageError for what is no buffer that this release can read.

    Errors of the file within the block become StorageErrors, too.
    """
    _check_file(path)
    try:
        with contextlib.closing(connect(path, "ro")) as db:
            _check_content(db, path)
            yield db
    except sqlite3.Error as error:
        raise trouble(path, error) from error


@contextlib.contextmanager
def looking_within(path: Path) -> Iterator[sqlite3.Connection]:
    """As `looking_at`, in the process whose gateway has the file open: only SQLite may open it there.

    Where a process closes any other handle on a file, all its locks on that file are gone.
    """
    try:
        with contextlib.closing(connect(path, "ro")) as db:
            yield db
    except sqlite3.Error as error:
        raise trouble(path, error) from error


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """`mode` is ro, rw or rwc; the caller begins and ends transactions."""
    db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, isolation_level=None)
    db.execute("PRAGMA busy_timeout = 5000")
    return db


@contextlib.contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """All that is read within is of one moment; keep it short, for the gateway's log grows until it ends."""
    db.execute("BEGIN")
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()  # it begins with the first read
        yield
    finally:
        if db.in_transaction:  # SQLite ends it by itself after some errors
            db.execute("ROLLBACK")


def life(db: sqlite3.Connection) -> Life:
    """In one snapshot."""
    return Life(*db.execute(EPOCH).fetchone(), *db.execute(HEAD).fetchone(), *db.execute(COUNTS).fetchone())


def tables(db: sqlite3.Connection) -> set[str]:
    """A file that no gateway of this release has opened yet may lack the newer ones."""
    return {name for (name,) in db.execute(TABLES)}


def layouts(db: sqlite3.Connection) -> tuple[dict[bytes, Layout], list[str]]:
    """All that records may refer to, and the ids of those that are damaged."""
    known: dict[bytes, Layout] = {}
    damaged: list[str] = []
    for layout_id, encoded in db.execute(LAYOUTS):
        try:
            layout = decode_layout(encoded)
        except msgspec.DecodeError:
            damaged.append(layout_id.hex())
        else:
            known[layout_id] = layout
    return known, damaged


def trouble(path: Path, error: sqlite3.Error) -> StorageError:
    """What SQLite says of a file, with what to do."""
    if primary_code(error) in DAMAGED:
        return StorageError(f"{path}: it is damaged: {error}", hint="`holdfast buffer check` says more")
    return storage_error(path, error)


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            first = file.read(len(FIRST_BYTES))
    except FileNotFoundError as error:
        raise StorageError(f"{path}: there is no such file", hint="has this site's gateway run yet?") from error
    except OSError as error:
        hint = "run this as the user that the gateway runs as" if isinstance(error, PermissionError) else ""
        raise StorageError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    if first != FIRST_BYTES:
        raise StorageError(f"{path}: not a buffer's file", hint="backups are made with `holdfast backup`")


def _check_content(db: sqlite3.Connection, path: Path) -> None:
    if not tables(db) >= OURS:
        raise StorageError(f"{path}: a database, but not a buffer's", hint="backups are made with `holdfast backup`")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    schema = resources.files("gateway.buffer").joinpath("schema")
    known = sum(entry.name.endswith(".sql") for entry in schema.iterdir())
    if version > known < (db.execute(READABLE_BY).fetchone() or (1,))[0]:
        raise RefusedFileError(
            f"{path}: written by a newer release (schema {version}, this one knows {known})",
            hint="install that release",
        )
