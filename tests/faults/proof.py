"""Compares each acknowledgement in a trace with what was on the disk for certain when it was handed to the kernel."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from tests.faults.accounting import LOG, NAME, Kept, by_sql
from tests.faults.traced import Call, Disk, calls

MARKER = re.compile(rb'"marker": (\d+)')  # in what devices send; each is there once
ACCEPTED = b"HTTP/1.1 200 "
PUBACK = b"\x40\x02"
TOLD_HEAD = re.compile(rb'"buffer":\{"head":(\d+)|\nholdfast_records_total (\d+)')


@dataclass
class Proof:
    """How many acknowledgements there were, by kind; `broken` tells those that came too early."""

    pushes: int = 0
    messages: int = 0
    heads: int = 0
    broken: list[str] = field(default_factory=list)


def prove(folder: Path, *traces: Path) -> Proof:
    """Of processes that ran one after the other on the buffer's file in `folder`, which the first one made."""
    proof, disk, known = Proof(), Disk(), _Known(folder)
    heard: dict[str, bytes] = {}  # by socket
    answered: dict[str, int] = {}
    for call in chain.from_iterable(map(calls, traces)):
        if call.where.startswith(str(folder / NAME)):
            disk.see(call)
        elif call.name.startswith("recv"):
            heard[call.where] = heard.get(call.where, b"") + call.data
        elif not call.ended:
            for head in _heads(call.data):
                proof.heads += 1
                if known.at(disk)[0] < head:
                    proof.broken.append(f"heads: told of {head} records, {known.at(disk)[0]} were on the disk")
            for kind in _answers(call, heard.get(call.where, b"")):
                setattr(proof, kind, getattr(proof, kind) + 1)
                number = answered[call.where] = answered.get(call.where, -1) + 1
                marker = int(MARKER.findall(heard[call.where])[number])
                if marker not in known.at(disk)[1]:
                    proof.broken.append(f"{kind}: {marker} was acknowledged and not on the disk")
    assert disk.memory[str(folder / NAME)] == (folder / NAME).read_bytes(), "the trace gives the file as it is"
    return proof


def _heads(said: bytes) -> Iterator[int]:
    return (int(found[1] or found[2]) for found in TOLD_HEAD.finditer(said))


def _answers(call: Call, heard: bytes) -> Iterator[str]:
    """The kind of each acknowledgement that is in what was said to a device."""
    if call.data.startswith(ACCEPTED) and heard.startswith(b"POST /api/push/"):
        yield "pushes"
    elif call.data.startswith(PUBACK):
        for at in range(0, len(call.data), 4):
            assert call.data[at : at + 2] == PUBACK
            yield "messages"


class _Known:
    """Reads what is certain, once after each flush."""

    def __init__(self, folder: Path) -> None:
        self._from = folder
        self._to = folder / "certain"
        self._to.mkdir()
        self._flushes = -1
        self._last: tuple[int, set[int]] = 0, set()

    def at(self, disk: Disk) -> tuple[int, set[int]]:
        """How many records there are, and the markers that they have."""
        if disk.flushes != self._flushes:
            for file in (NAME, LOG):
                (self._to / file).write_bytes(disk.certain.get(str(self._from / file), b""))
            kept = by_sql(self._to)
            self._flushes, self._last = disk.flushes, (len(kept.records), set(_markers(kept)))
        return self._last


def _markers(kept: Kept) -> Iterator[int]:
    for record in kept.records:
        layout = kept.layouts[record.layout_id]
        for point, value in zip(layout.points, layout.rows.unpack(record.row), strict=True):
            if point.key == "marker":
                yield int(float(str(value)))
