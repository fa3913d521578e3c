"""Records read back as they came, newest or oldest first."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from gateway.core.model import BACKFILLED, DATED, UNCERTAIN, Layout, Raw, Record, readings_of
from gateway.core.rollup import DAY_MS
from sync.hub.store.layouts import series_of
from sync.hub.store.sql import Sql
from sync.hub.web.api import ApiError, Call, Nothing, Route
from sync.hub.web.paging import Listed, Ms, Name, Named, Paged, checked_range, listed, marked
from sync.hub.web.rights import Role

OLDEST = """SELECT ts, series, flags, row FROM record WHERE series = $1 AND ts >= $2 AND ts < $3
    ORDER BY ts LIMIT $4"""
NEWEST = """SELECT ts, series, flags, row FROM record WHERE series = $1 AND ts >= $2 AND ts < $3
    ORDER BY ts DESC LIMIT $4"""
FLAGS = {BACKFILLED: "backfilled", UNCERTAIN: "uncertain", DATED: "dated"}


class RecordsQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: Named
    device: Name = ""
    since: Annotated[Ms | None, msgspec.Meta(description="without: a day before until")] = None
    until: Annotated[Ms | None, msgspec.Meta(description="without: now")] = None
    order: Literal["newest", "oldest"] = "newest"


class RecordLine(msgspec.Struct, frozen=True):
    """One poll group measured at one time, in the units of its points; null: there was no value."""

    ts: int
    device: str
    group: str
    flags: tuple[str, ...]
    values: dict[str, Raw | None]


class Records:
    """The route."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/records", summary="What a node or one of its devices measured, by time",
                right=Role.VIEWER, handle=self._list, query=RecordsQuery, body=Nothing, answer=Listed[RecordLine],
            ),
        )  # fmt: skip

    async def _list(self, call: Call[RecordsQuery, Nothing]) -> Listed[RecordLine]:
        query, is_newest = call.query, call.query.order == "newest"
        since, until = checked_range(query.since, query.until, call.now, DAY_MS)
        layouts = dict(await series_of(self._sql, query.node, query.device))
        if query.device and not layouts:
            raise ApiError(404, f"the node has no device {query.device}")
        last = marked(query.after, tuple[Ms, Ms])
        if last is not None and is_newest:
            until = min(until, last[0] + 1)
        elif last is not None:
            since = max(since, last[0])
        rows: list[Sequence[Any]] = []
        for series in layouts:  # each by its index: a sort of the whole range may be of many millions
            statement = NEWEST if is_newest else OLDEST
            rows += await self._sql.fetch(statement, series, since, until, query.limit + 2)
            rows.sort(key=lambda row: (row[0], row[1]), reverse=is_newest)
            if last is not None:
                rows = [row for row in rows if ((row[0], row[1]) < last if is_newest else (row[0], row[1]) > last)]
            del rows[query.limit + 1 :]
        return listed(rows, query.limit, lambda row: _line(layouts[row[1]], row), lambda row: row[:2])


def _line(layout: Layout, row: Sequence[Any]) -> RecordLine:
    ts, _, flags, packed = row
    readings = readings_of(layout, Record(layout.id, ts, packed, flags))
    return RecordLine(ts, layout.device, layout.group, flag_words(flags), {r.key: finite(r.value) for r in readings})


def flag_words(flags: int) -> tuple[str, ...]:
    return tuple(word for bit, word in FLAGS.items() if flags & bit)


def finite(value: Raw | None) -> Raw | None:
    """None for what no JSON can say: infinity, and what is no number."""
    return None if isinstance(value, float) and value - value != 0 else value
