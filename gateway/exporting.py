"""`holdfast export`: from the buffer's file to a file or to standard output."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gateway.backup import refuse_own
from gateway.bar import bar
from gateway.bufferfile import layouts, looking_at, tables
from gateway.core.errors import StorageError
from gateway.export import Choice, Picked, Sample, Samples, pick
from gateway.exportbuckets import Rolled, rolled
from gateway.newfile import new_file
from gateway.tables import (
    Times,
    as_samples,
    csv_bytes,
    json_lines,
    long_objects,
    long_rows,
    rolled_objects,
    rolled_rows,
    wide_objects,
    wide_rows,
)  # fmt: skip

BOM = b"\xef\xbb\xbf"  # by which Excel knows UTF-8


class Wanted(NamedTuple):
    """What to write, and how."""

    choice: Choice
    resolution: str  # raw, 1m or 1h
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
        samples = Samples(db, picked, wanted.choice)
        if wanted.resolution == "raw":
            chunks = _readings(samples.all(step), picked.values(), wanted)
        elif "stale_hour" in tables(db):
            chunks = _buckets(rolled(db, picked, wanted.choice, wanted.resolution, step), picked.values(), wanted)
        else:
            raise StorageError(f"{buffer}: has no roll-ups", hint="let this release's gateway open it once")
        if file is not None and wanted.form == "csv":
            out.write(BOM)
        for chunk in chunks:
            out.write(chunk)
        return [*(f"all of layout {layout_id}" for layout_id in damaged), *samples.left_out]


def _readings(samples: Iterable[Sample], picked: Iterable[Picked], wanted: Wanted) -> Iterator[bytes]:
    times = Times(wanted.zone)
    if wanted.form == "ndjson":
        return json_lines(wide_objects(samples, times) if wanted.wide else long_objects(samples, times))
    return csv_bytes(wide_rows(samples, times, picked) if wanted.wide else long_rows(samples, times))


def _buckets(buckets: Iterable[Rolled], picked: Iterable[Picked], wanted: Wanted) -> Iterator[bytes]:
    times = Times(wanted.zone)
    if wanted.wide:
        return _readings(as_samples(buckets), picked, wanted)
    if wanted.form == "ndjson":
        return json_lines(rolled_objects(buckets, times))
    return csv_bytes(rolled_rows(buckets, times))


@contextlib.contextmanager
def _output(buffer: Path, file: Path | None, force: bool) -> Iterator[BinaryIO]:
    if file is None:
        yield sys.stdout.buffer
        return
    refuse_own(buffer, file)
    with new_file(file, force=force) as part, part.open("wb") as out:
        yield out
