"""What is in a buffer's file, in numbers; no block is unpacked, so that it is quick however large the file is."""

import sqlite3
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from gateway.buffer.opening import EVENTS_HEAD
from gateway.buffer.pace import CHOSEN
from gateway.buffer.reading import EPOCH, HEAD
from gateway.bufferfile import COUNTS, layouts, snapshot, tables
from gateway.config import BufferConfig
from gateway.core import codec
from gateway.core.errors import CodecError
from gateway.core.span import Span
from gateway.core.wording import bytes_text

# A thinned segment says how many it kept.
SEALED = "SELECT coalesce(sum({kept}), 0) FROM segment"
TAIL = "SELECT coalesce(sum(hi - lo), 0) FROM frame"
TAIL_PACKS = "SELECT bytes FROM frame ORDER BY lo DESC LIMIT 1000"
IN_TIME = "SELECT min(ts_min), max(ts_max) FROM block WHERE layout = ?"
SPANS = "SELECT stream, lo, hi FROM span ORDER BY stream, lo"
DOUBTFUL = "SELECT count(*) FROM doubtful"
THINNED = "SELECT count(*), coalesce(sum(removed), 0), coalesce(sum(kept), 0) FROM thinned"
ROLLED = {table: f"SELECT min(ts), max(ts) FROM {table} WHERE layout = ?" for table in ("rollup_1m", "rollup_1h")}  # noqa: S608
UNCERTAIN = """SELECT coalesce((SELECT sum(hi - lo) FROM segment WHERE boot IS NOT NULL), 0)
    + coalesce((SELECT sum(hi - lo) FROM frame WHERE boot IS NOT NULL), 0)"""
BOOTS = "SELECT kernel_id, estimate, offset FROM boot ORDER BY id"

Stat = dict[str, Any]
"""As it is printed as JSON; times in milliseconds since 1970 UTC, null where there is none."""


def stat(db: sqlite3.Connection, path: Path, config: BufferConfig | None) -> Stat:
    """`config` is None where only the file is known. Raises sqlite3.Error."""
    with snapshot(db):
        there = tables(db)
        chosen = next((float(row[0]) for row in db.execute(CHOSEN)), None)
        head, (segments, frames, events) = _one(db, HEAD)[0], _one(db, COUNTS)
        found = _file(db, path) | {"epoch": _one(db, EPOCH)[0], "head": head}
        found |= {"records": _sealed(db) + _one(db, TAIL)[0], "segments": segments, "frames": frames, "events": events}
        found["layouts"] = _layouts(db)
        found["unsent"] = {stream: _left(spans) for stream, spans in unsent(db).items()}
        found["doubtful"] = _one(db, DOUBTFUL)[0] if "doubtful" in there else 0
        if "thinned" in there:
            found["thinned"] = dict(zip(("hours", "removed", "kept"), _one(db, THINNED), strict=True))
        if "boot" in there:
            found["uncertain"] = _one(db, UNCERTAIN)[0]
            found["boots"] = [dict(zip(("kernel_id", "estimate", "offset"), r, strict=True)) for r in db.execute(BOOTS)]
        found["rollups"] = {table: _range(db, ROLLED[table]) for table in ROLLED if table in there}
    times = [one[end] for one in found["layouts"] for end in ("oldest", "newest") if one[end] is not None]
    found |= {"oldest": min(times, default=None), "newest": max(times, default=None)}
    if config is not None:
        found |= {"budget_bytes": int(config.budget_mb * 1e6), "commit_interval_s": config.commit_interval_s}
        found["commit_s"] = chosen if chosen is not None else config.commit_interval_s
    return found


def _one(db: sqlite3.Connection, query: str, *parameters: object) -> tuple[Any, ...]:
    return tuple(db.execute(query, parameters).fetchone())


def _file(db: sqlite3.Connection, path: Path) -> Stat:
    pragmas = ("user_version", "page_size", "page_count", "freelist_count")
    schema, page_size, pages, free = (_one(db, f"PRAGMA {name}")[0] for name in pragmas)
    log = path.with_name(f"{path.name}-wal")
    return {
        "file": str(path), "bytes": pages * page_size, "log_bytes": log.stat().st_size if log.exists() else 0,
        "free_bytes": free * page_size, "page_bytes": page_size, "schema": schema,
    }  # fmt: skip


def _sealed(db: sqlite3.Connection) -> int:
    columns = {row[1] for row in db.execute("PRAGMA table_info(segment)")}
    return int(_one(db, SEALED.format(kept="coalesce(kept, hi - lo)" if "kept" in columns else "hi - lo"))[0])


def _layouts(db: sqlite3.Connection) -> list[Stat]:
    known, damaged = layouts(db)
    times: dict[bytes, list[int]] = {}
    for (pack,) in db.execute(TAIL_PACKS):
        try:
            for record in codec.decode(pack):
                times.setdefault(record.layout_id, []).append(record.ts)
        except CodecError:
            continue  # `holdfast buffer check` tells of it
    listed = []
    for layout in sorted(known.values(), key=lambda one: (one.device, one.group)):
        mine = [
            *times.get(layout.id, []),
            *(ts for ts in db.execute(IN_TIME, (layout.id,)).fetchone() if ts is not None),
        ]
        listed.append({
            "id": layout.id.hex(), "device": layout.device, "group": layout.group, "points": len(layout.points),
            "oldest": min(mine, default=None), "newest": max(mine, default=None),
        })  # fmt: skip
    return listed + [{"id": one, "device": "damaged", "oldest": None, "newest": None} for one in damaged]


def heads(db: sqlite3.Connection) -> dict[str, int]:
    """By stream, the seq that the next one gets."""
    return {"records": _one(db, HEAD)[0], "events": _one(db, EVENTS_HEAD)[0]}


def unsent(db: sqlite3.Connection) -> dict[str, list[Span]]:
    """By stream, what the hub lacks, in order."""
    ends = heads(db)
    left: dict[str, list[Span]] = {}
    for stream, lo, hi in db.execute(SPANS):
        left.setdefault(stream, []).append(Span(lo, ends.get(stream, 0) if hi is None else hi))
    return {stream: [span for span in left.get(stream, [Span(0, head)]) if span] for stream, head in ends.items()}


def _left(spans: list[Span]) -> Stat:
    return {"count": sum(map(len, spans)), "spans": len(spans)}


def _range(db: sqlite3.Connection, query: str) -> list[int | None]:
    """When the oldest and the newest chunk begin."""
    ends = [_one(db, query, layout_id) for (layout_id,) in db.execute("SELECT id FROM layout")]
    known = [ts for pair in ends for ts in pair if ts is not None]
    return [min(known, default=None), max(known, default=None)]


def _time_text(ts: int, zone: tzinfo) -> str:
    try:
        return f"{datetime.fromtimestamp(ts / 1000, UTC).astimezone(zone):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):  # beyond the year 9999
        return f"{ts} ms"


def lines(found: Stat, zone: tzinfo, *, hub: bool = True) -> list[str]:
    """The same for people; times in `zone`. Without a `hub` nothing is to be sent."""

    def span(*ends: int | None) -> str:
        return " to ".join(_time_text(ts, zone) for ts in ends if ts is not None) or "none"

    budget = f" of {bytes_text(found['budget_bytes'])}" if "budget_bytes" in found else ""
    told = [
        ("file", f"{found['file']}, schema {found['schema']}, pages of {found['page_bytes']} bytes"),
        ("size", f"{bytes_text(found['bytes'])}{budget}, log {bytes_text(found['log_bytes'])}, "
                 f"free within {bytes_text(found['free_bytes'])}"),
        ("epoch", f"{found['epoch']}, {found['head']:,} records taken in it"),
        ("records", f"{found['records']:,} here, {span(found['oldest'], found['newest'])} ({zone})"),
        ("stored as", f"{found['segments']:,} segments and {found['frames']:,} frames; {found['events']:,} events"),
    ]  # fmt: skip
    if "commit_interval_s" in found:
        configured = f", chosen on the page; {found['commit_interval_s']:g} s in the configuration"
        is_chosen = found["commit_s"] != found["commit_interval_s"]
        told.append(("commit", f"every {found['commit_s']:g} s{configured if is_chosen else ''}"))
    for stream, left in found["unsent"].items() if hub else ():
        told.append((f"unsent {stream}", f"{left['count']:,}, in spans: {left['spans']:,}"))
    if "thinned" in found:
        thinned = found["thinned"]
        told.append(("thinned", f"{thinned['hours']:,} hours of poll groups; {thinned['removed']:,} records gone"))
    told.append(("doubtful", f"{found['doubtful']:,} records whose time cannot be right"))
    for boot in found.get("boots", []):
        known = "known" if boot["offset"] is not None else "not known yet"
        told.append(("boot", f"{boot['kernel_id']}: its time is {known}"))
    if found.get("uncertain"):
        told.append(("uncertain", f"{found['uncertain']:,} records wait for their times"))
    told += [(table.replace("rollup_", "roll-ups "), span(*ends)) for table, ends in found["rollups"].items()]
    width = max(len(name) for name, _ in told)
    listed = [f"{name:<{width}}  {text}" for name, text in told]
    for one in found["layouts"]:
        name = f"{one['device']} / {one['group']}, {_points(one['points'])}" if "group" in one else one["device"]
        listed.append(f"  {one['id']}  {name}: {span(one['oldest'], one['newest'])}")
    return listed


def _points(count: int) -> str:
    return f"{count} point{'s' if count > 1 else ''}"
