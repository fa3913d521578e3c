"""The content of a buffer's file piece by piece, in short snapshots, so that a running gateway is not held up."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.buffer.reading import FRAMES_AT
from gateway.bufferfile import snapshot

END = 1 << 62
FRAMES_AT_ONCE = 200
# As in reading.py, but without the blocks: they are asked for within the same snapshot.
SEGMENT_AT = """SELECT lo, hi FROM segment
    WHERE lo >= coalesce((SELECT max(lo) FROM segment WHERE lo <= ?1), 0) AND hi > ?1 ORDER BY lo LIMIT 1"""
BLOCKS = "SELECT bytes, layout, ts_min, ts_max, count FROM block WHERE segment = ?"


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a segment, or (without a layout of its own) one frame of the tail."""

    lo: int
    hi: int
    pack: bytes
    layout: bytes | None = None
    ts_min: int = 0
    ts_max: int = 0
    count: int = 0


Piece = list[Block]
"""All of one segment, or some frames."""


def pieces(db: sqlite3.Connection, at: int) -> Iterator[Piece]:
    """What is in the file from the seq `at` on, in order; frames that are sealed meanwhile come as the segment."""
    while True:
        with snapshot(db):
            segment = db.execute(SEGMENT_AT, (at,)).fetchone()
            frames = [Block(*row) for row in db.execute(FRAMES_AT, (at, at, END, FRAMES_AT_ONCE))]
            if segment is not None:  # a frame that could not be read stays behind when those after it are sealed
                frames = [frame for frame in frames if frame.lo < segment[0]]
            sealed = segment is not None and not frames
            blocks = [Block(*segment, *row) for row in db.execute(BLOCKS, segment[:1])] if sealed else []
        if not sealed and not frames:
            return
        yield blocks if sealed else frames
        at = segment[1] if sealed else frames[-1].hi
