"""One process on a file: a lock that ends with the process, however it ends."""

import contextlib
import fcntl
import os
from pathlib import Path

from gateway.core.errors import RefusedFileError


class FileLock:
    """An advisory lock in a file of its own, `<file>.lock`, which stays; who only reads does without."""

    def __init__(self, guarded: Path) -> None:
        self._guarded = guarded
        self._path = guarded.with_name(guarded.name + ".lock")
        self._held: int | None = None

    def take(self) -> None:
        """Raises RefusedFileError where another process has it, OSError where the disk does not take it."""
        if self._held is not None:
            return
        file = self._open()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 20).decode(errors="replace").strip()
            os.close(file)
            raise RefusedFileError(
                f"{self._guarded}: in use by another Holdfast" + (f", process {holder}" if holder else ""),
                hint="stop that one first, or give this one a file of its own",
            ) from None
        except OSError:
            pass  # a network file system without locks
        self._held = file
        with contextlib.suppress(OSError):  # a full or read-only disk: nobody reads who holds it, but it is held
            os.truncate(file, 0)
            os.write(file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            return os.open(self._path, os.O_RDONLY)  # a lock does not need to write
