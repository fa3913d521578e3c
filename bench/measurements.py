"""Measurements of the reference work without any device: some noisy, some slow, some constant, as meters give them."""

from collections.abc import Iterator, Sequence
from random import Random

from bench.work import DEVICES, POINTS, POLL_S
from gateway.core.model import Layout, Point, Record

NOISY, STEPPED, COUNTERS = 19, 6, 8  # of the points of a device; the rest is constant
LAYOUTS = [
    Layout(f"device {number}", "live", tuple(Point(f"point_{index}", "f32", unit="W") for index in range(POINTS)))
    for number in range(DEVICES)
]
BY_ID = {layout.id: layout for layout in LAYOUTS}
START_MS = 1_790_000_000_000


class Measurements:
    """Ticks of all devices, one after the other; the same for the same seed."""

    def __init__(self, seed: int = 1, start_ms: int = START_MS) -> None:
        self._random = Random(seed)
        self._counts = [[self._random.uniform(0, 1e5) for _ in range(COUNTERS)] for _ in LAYOUTS]
        self._at_ms = start_ms

    def rows(self) -> Iterator[bytes]:
        """One row of each device."""
        draw = self._random
        for layout, counts in zip(LAYOUTS, self._counts, strict=True):
            counts[:] = [count + draw.random() for count in counts]
            values = [draw.gauss(230, 5) for _ in range(NOISY)]
            values += [round(draw.gauss(50, 0.05), 2) for _ in range(STEPPED)]
            values += [*counts, *range(POINTS - NOISY - STEPPED - COUNTERS)]
            yield layout.rows.pack(values)

    def tick(self) -> list[Record]:
        """One record of each device, a few milliseconds apart."""
        self._at_ms += round(1000 * POLL_S)
        return [
            Record(layout.id, self._at_ms + self._random.randrange(4), row)
            for layout, row in zip(LAYOUTS, self.rows(), strict=True)
        ]


def values_of(records: Sequence[Record]) -> bytes:
    """The records' values alone, big end first, for the floors."""
    bitmap = (POINTS + 7) // 8
    return b"".join(record.row[bitmap:] for record in records)
