"""Records as JSON, so that anything that speaks HTTP can send them; pure.

    {"records": [{"device": "roof", "ts": 1790000000000, "values": {"power": 1520, "voltage": null}}]}

`group` beside `device` keeps apart what is measured apart. Records of the same keys have the same layout.
"""

from typing import Annotated

import msgspec

from gateway.core import codec
from gateway.core.errors import TooLargeError
from gateway.core.model import Layout, Name, Point, Record
from sync import wire

POINTS_MAX = 2000
BYTES_MAX = wire.BODY_MAX  # unpacked, too; what is made of them takes up to fifty times as much memory
SECONDS_BELOW = 10_000_000_000  # as seconds that is the year 2286, as milliseconds April 1970
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=96)]


class JsonRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: Name
    ts: int  # milliseconds since 1970 UTC
    values: Annotated[dict[Key, float | None], msgspec.Meta(min_length=1, max_length=POINTS_MAX)]  # null: missing
    group: Name = "json"


class JsonRecords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    records: list[JsonRecord]


def batch_of(body: bytes) -> tuple[wire.Records, wire.Layouts, int]:
    """The batch, the layouts that it is of, and how many records there are; a record's seq is its place in the list.

    Raises ValueError, TooLargeError.
    """
    if len(body) > BYTES_MAX:
        raise TooLargeError(f"more than {BYTES_MAX} bytes of JSON")
    records = msgspec.json.decode(body, type=JsonRecords).records
    layouts: dict[tuple[str, ...], Layout] = {}
    made = [_record(record, seq, layouts) for seq, record in enumerate(records)]
    by_id = {layout.id: layout for layout in layouts.values()}
    packs = [codec.encode(made, by_id)] if made else []
    return wire.Records(packs), wire.Layouts([layout.encoded for layout in by_id.values()]), len(made)


def _record(record: JsonRecord, seq: int, layouts: dict[tuple[str, ...], Layout]) -> Record:
    if not 0 <= record.ts < 1 << 62:
        raise ValueError(f"records[{seq}].ts: {record.ts} is no time in milliseconds since 1970")
    if record.ts < SECONDS_BELOW:
        raise ValueError(f"records[{seq}].ts: {record.ts} milliseconds are in 1970; are these seconds?")
    shape = (record.device, record.group, *record.values)
    if (layout := layouts.get(shape)) is None:
        points = tuple(Point(key, "f64") for key in sorted(record.values))
        layout = layouts[shape] = Layout(record.device, record.group, points, "json")
    row = layout.rows.pack([record.values[point.key] for point in layout.points])
    return Record(layout.id, record.ts, row, seq=seq)
