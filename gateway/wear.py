"""What is written to the disk that holds the buffer, by all programs together, and what that means for a card."""

import os
from collections import deque
from pathlib import Path

from gateway.core.clock import Clock

SECTOR_BYTES = 512  # of /sys/dev/block/*/stat, whatever the device's own is
SECTORS_WRITTEN = 6  # the field; Documentation/block/stat.rst
FIRST_AFTER_S = 60
EVERY_S = 600
DAY_S = 86_400
DAYS_A_YEAR = 365.25


class Wear:
    """Watches the disk's counter; the rate is that of the last day, or of the time since the start."""

    def __init__(self, path: Path, card_tbw: float, clock: Clock, block: Path = Path("/sys/dev/block")) -> None:
        self._counter = _counter(path, block)
        self._endurance = card_tbw * 1e12
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()  # (monotonic s, bytes written), the oldest a day old
        self.bytes_per_day()

    def bytes_per_day(self) -> int:
        """0 while it is not known: in the first minute, and on disks that do not count, as tmpfs and overlays."""
        written = _written(self._counter)
        if written is None:
            return 0
        now = self._clock.monotonic_s()
        if self._marks and written < self._marks[-1][1]:
            self._marks.clear()  # another disk, or a counter that began anew
        while len(self._marks) > 1 and now - self._marks[1][0] >= DAY_S:
            self._marks.popleft()
        if not self._marks or now - self._marks[-1][0] >= EVERY_S:
            self._marks.append((now, written))
        since, before = self._marks[0]
        return round((written - before) / (now - since) * DAY_S) if now - since >= FIRST_AFTER_S else 0

    def years(self, bytes_per_day: int) -> float:
        """How long a card of the configured endurance lasts at that rate; 0: not known."""
        return self._endurance / bytes_per_day / DAYS_A_YEAR if bytes_per_day else 0.0


def _counter(path: Path, block: Path) -> Path:
    """The whole disk's counter, for its other partitions wear it too."""
    try:
        device = path.stat().st_dev
    except OSError:
        return block / "none"
    partition = block / f"{os.major(device)}:{os.minor(device)}"
    disk = partition.resolve().parent if (partition / "partition").exists() else partition
    return disk / "stat"


def _written(counter: Path) -> int | None:
    try:
        return int(counter.read_text().split()[SECTORS_WRITTEN]) * SECTOR_BYTES
    except (OSError, IndexError, ValueError):
        return None
