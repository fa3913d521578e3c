"""A few blocks of the disk that nobody else gets, given up so that deleting works when it is full."""

import contextlib
import os
from pathlib import Path


class Reserve:
    """The file `buffer.db.reserve` beside the buffer."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".reserve")

    def make(self, size: int, disk_free: int) -> None:
        """Make it, of `size` bytes, where there is room for it; a disk that refuses is asked again."""
        if disk_free > 3 * size and not self._is_there(size):
            self._make(size)

    def _is_there(self, size: int) -> bool:
        """Of another size it is from another budget."""
        try:
            return self._path.stat().st_size == size
        except OSError:
            return False

    def give_up(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _make(self, size: int) -> None:
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:  # as of a quota; the file has to do without
            self.give_up()


def free_bytes(folder: Path) -> int:
    """What is left on the disk of `folder`; a disk that is away has no room."""
    return disk_bytes(folder)[0]


def disk_bytes(folder: Path) -> tuple[int, int]:
    """Of the disk of `folder`: what is left, and all of it; 0 of a disk that is away."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 0, 0
    return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
