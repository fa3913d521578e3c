"""`holdfast export`: from the buffer's file to a file or to standard output."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gateway.backup import refuse_own
from gateway.bar import bar
from gateway.bufferfile import layouts, looking_at
from gateway.export import Choice, Samples, pick
from gateway.newfile import new_file
from gateway.tables import Times, csv_bytes, json_lines, long_objects, long_rows, wide_objects, wide_rows

BOM = b"\xef\xbb\xbf"  # by which Excel knows UTF-8


class Wanted(NamedTuple):
    """What to write, and how."""

    choice: Choice
    form: str  # csv or ndjson
    wide: bool
    zone: tzinfo


def export(buffer: Path, wanted: Wanted, file: Path | None, *, force: bool = False) -> list[str]:
    """Write to `file`, whole or not at all, or to standard output; returns what could not be read.

    Raises HoldfastError.
    """
    with looking_at(buffer) as db, _output(buffer, file, force) as out, bar("exporting") as step:
        known, damaged = layouts(db)
        picked = pick(known.values(), wanted.choice)
        samples, times = Samples(db, picked, wanted.choice), Times(wanted.zone)
        found = samples.all(step)
        if wanted.form == "ndjson":
            chunks = json_lines(wide_objects(found, times) if wanted.wide else long_objects(found, times))
        else:
            rows = wide_rows(found, times, picked.values()) if wanted.wide else long_rows(found, times)
            chunks = csv_bytes(rows)
            out.write(BOM if file else b"")
        for chunk in chunks:
            out.write(chunk)
        return [*(f"all of layout {layout_id}" for layout_id in damaged), *samples.left_out]


@contextlib.contextmanager
def _output(buffer: Path, file: Path | None, force: bool) -> Iterator[BinaryIO]:
    if file is None:
        yield sys.stdout.buffer
        return
    refuse_own(buffer, file)
    with new_file(file, force=force) as part, part.open("wb") as out:
        yield out
