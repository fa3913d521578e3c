"""After a failed fsync the page cache lies: it holds what the disk never got, and the next fsync says that all is well.

Linux reports such an error once and keeps the pages as clean. ext4 even writes what is put into them
again to where it will not be found after a power cut. So they are dropped, and read from the disk.
docs/decisions/0010-damaged-files.md tells how that was found.
"""

import contextlib
import os
from pathlib import Path


class PageCache:
    """Of a SQLite file and its log.

    SQLite locks the file for the process, and closing any descriptor of it would give these locks up:
    `open` before SQLite does, and `close` after.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._file: int | None = None
        self._changed = 0  # when the file was written last, as far as was looked

    def open(self) -> None:
        """Raises OSError; a file that is not there yet is opened by a later `open`."""
        if self._file is None:
            with contextlib.suppress(FileNotFoundError):
                self._file = os.open(self._path, os.O_RDONLY)
        self.drop()

    def is_in_place(self) -> bool:
        """Whether the file still has its name: removed or replaced, it takes what nobody will find again."""
        if self._file is None:
            return True
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file))
        except OSError:
            return False

    def drop(self) -> None:
        """Drop what is clean, so that the disk is asked; what still has to be written stays. Raises OSError."""
        if self._file is not None:
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        with contextlib.suppress(FileNotFoundError):
            log = os.open(self._log, os.O_RDONLY)
            try:
                os.posix_fadvise(log, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(log)

    def was_written(self) -> bool:
        """Whether a checkpoint has written to the file since this was last asked."""
        changed = 0 if self._file is None else os.fstat(self._file).st_mtime_ns
        before, self._changed = self._changed, changed
        return changed != before

    def check(self) -> None:
        """Raises OSError where something that was written to the file is lost: SQLite keeps that to itself."""
        if self._file is not None:
            os.fdatasync(self._file)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
