"""A file that is there whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.core.diskwords import storage_error
from gateway.core.errors import ConfigError


@contextlib.contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Write to what is yielded, `path` with .part; it becomes `path`, safe on the disk, when the block ends well.

    Raises ConfigError where `path` exists and `force` is not set, StorageError where the disk does not take it.
    """
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}", hint="make it, or name another")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: that is no file")
    if path.exists() and not force:
        raise ConfigError(f"{path}: there is such a file already", hint="name another, or overwrite it with --force")
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        yield part
        sync(part)
        part.replace(path)
        sync(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Return when a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
