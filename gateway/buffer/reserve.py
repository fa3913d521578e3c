"""A few blocks of the disk that nobody else gets, given up so that deleting works when it is full."""

import contextlib
import os
from pathlib import Path


class Reserve:
    """The file `buffer.db.reserve` beside the buffer."""

    def __init__(self, database: Path, size: int) -> None:
        self._path = database.with_name(database.name + ".reserve")
        self._size = size

    def make(self, disk_free: int) -> None:
        """Make it where there is room for it; a disk that refuses is asked again."""
        if disk_free > 3 * self._size and not self._path.exists():
            self._make()

    def give_up(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _make(self) -> None:
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError:  # as of a quota; the file has to do without
            self.give_up()
