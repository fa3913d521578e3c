"""What went wrong with a file on a disk, and what to do about it, in words for people."""

import errno
import os
import sqlite3
import tempfile
from pathlib import Path

from gateway.core.errors import DamagedFileError, StorageError

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def storage_error(path: Path, error: sqlite3.Error | OSError) -> StorageError:
    """Our error for what SQLite or the system said of `path`; looks at the disk for the reason."""
    if primary_code(error) in DAMAGED:
        return DamagedFileError(f"{path}: {error}", hint="what can be read of it is carried over into a new file")
    why, hint = _why(path, error)
    return StorageError(f"{path}: {why}", hint=hint)


def primary_code(error: sqlite3.Error | OSError) -> int:
    """SQLite's result code without its extension; 0 where SQLite did not say it."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def is_read_only(folder: Path) -> bool:
    """Whether its file system is; ext4 that found an error says so only to those who write."""
    try:
        os.utime(folder)
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def takes_files(folder: Path) -> bool:
    """Whether a file can be written there, to the disk."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"trial")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    return True


def _why(path: Path, error: sqlite3.Error | OSError) -> tuple[str, str]:
    """What is wrong, and what to do."""
    try:
        return _seen(path, error)
    except FileNotFoundError:
        return "its folder is not there", "mount the disk, or make the folder"
    except OSError as nothing:
        return f"its folder cannot be looked at: {nothing.strerror}", "check that the disk is there, and dmesg"


def _seen(path: Path, error: sqlite3.Error | OSError) -> tuple[str, str]:
    folder = path.parent
    disk = os.statvfs(folder)
    if is_read_only(folder):
        return "the file system is read-only", "see dmesg: a disk that fails is made read-only; restart, or replace it"
    if primary_code(error) == sqlite3.SQLITE_FULL or getattr(error, "errno", 0) == errno.ENOSPC or not disk.f_bavail:
        return "the disk is full", f"make room on the disk of {folder}"
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        return "no permission to write", f"give {folder} and what is in it to the user that runs Holdfast"
    if primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return str(error), "another program holds it; end that program"
    if primary_code(error) == sqlite3.SQLITE_ERROR:  # SQLite found the statement at fault, and no disk
        return str(error), "its tables are not those of this release: put a backup back, or report it with the log"
    return str(error), "see dmesg: the disk or its cable may be failing"
