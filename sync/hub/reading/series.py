"""Charts: points of a device over any time, in a resolution that fills a picture."""

from collections.abc import Sequence
from itertools import groupby
from math import fsum
from typing import Annotated, Any, Literal, Protocol

import msgspec

from gateway.core.model import Kind, Layout, Point
from gateway.core.rollup import DAY_MS, HOUR_MS, MINUTE_MS
from gateway.core.status import History, HistoryRow
from gateway.core.status import Resolution as Stored
from sync.hub.store.layouts import series_of
from sync.hub.store.sql import Sql
from sync.hub.web.api import ApiError, Call, Nothing, Route
from sync.hub.web.paging import Ms, Name, Named, checked_range
from sync.hub.web.rights import Role

COUNT = "SELECT count(*) FROM (SELECT 1 FROM record WHERE series = $1 AND ts >= $2 AND ts < $3 LIMIT $4) AS found"
# Hours whose records have gone, and those of them whose minutes have gone too.
GONE = """SELECT count(*), count(*) - count(rollup_1m.series) FROM closed
    LEFT JOIN rollup_1m ON rollup_1m.series = closed.series AND rollup_1m.hour = closed.hour
    WHERE closed.series = $1 AND closed.hour > $2 AND closed.hour < $3"""
ROWS_MAX = 50_000  # of one point, where the resolution is asked for by name
TOO_MANY = f"more than {ROWS_MAX} rows: ask for less time, or a coarser resolution"
STEPS = {"minute": MINUTE_MS, "hour": HOUR_MS}
STORED: dict[int, Stored] = {0: "raw", MINUTE_MS: "1m"}

Resolution = Literal["raw", "minute", "hour"]


class SeriesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: Named
    device: Named
    key: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=20)]
    since: Annotated[Ms | None, msgspec.Meta(description="without: a day before until")] = None
    until: Annotated[Ms | None, msgspec.Meta(description="without: now")] = None
    resolution: Annotated[
        Literal["auto", "raw", "minute", "hour"],
        msgspec.Meta(description="auto: the finest with at most `points` rows"),
    ] = "auto"
    points: Annotated[int, msgspec.Meta(ge=10, le=20_000)] = 2000


class Line(msgspec.Struct, frozen=True):
    """One point, oldest first. What has no row has no reading: a gap is a gap."""

    key: str
    unit: str
    kind: Kind
    quantity: str
    names: dict[str, str]
    rows: tuple[HistoryRow, ...]


class Chart(msgspec.Struct, frozen=True):
    """All lines in one resolution; `step_ms`: how far the rows' times are apart at least, 0 for raw ones."""

    device: str
    since: int
    until: int
    resolution: Resolution
    step_ms: int
    lines: tuple[Line, ...]


class Histories(Protocol):
    """Where the values are."""

    async def series(self, node: str, device: str, key: str, since: int, until: int, resolution: Stored) -> History:
        """See `sync.hub.rollup.rollups.Rollups.series`."""
        ...


class Series:
    """The route; an export asks `rows`."""

    def __init__(self, sql: Sql, histories: Histories) -> None:
        self._sql = sql
        self._histories = histories

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/series", summary="Points of a device over time, for charts",
                right=Role.VIEWER, handle=self._chart, query=SeriesQuery, body=Nothing, answer=Chart,
            ),
        )  # fmt: skip

    async def _chart(self, call: Call[SeriesQuery, Nothing]) -> Chart:
        query = call.query
        since, until = checked_range(query.since, query.until, call.now, DAY_MS)
        known = await series_of(self._sql, query.node, query.device)
        points = {key: point_of(known, key) for key in query.key}
        of_keys = [(series, layout) for series, layout in known if any(p.key in points for p in layout.points)]
        resolution, step = await self._resolution(query, of_keys, since, until)
        lines = []
        for key, point in points.items():
            rows = await self.rows(query.node, query.device, point, since, until, step)
            lines.append(Line(key, point.unit, point.kind, point.quantity, point.names, tuple(rows)))
        return Chart(query.device, since, until, resolution, step, tuple(lines))

    async def _resolution(
        self, query: SeriesQuery, known: Sequence[tuple[int, Layout]], since: int, until: int
    ) -> tuple[Resolution, int]:
        """The finest that is held for all of the time and has at most so many rows; beyond hours, some of them."""
        if query.resolution == "raw":
            if await self._most(query, known, since, until, ROWS_MAX) > ROWS_MAX:
                raise ApiError(400, TOO_MANY)
            return "raw", 0
        if query.resolution != "auto":
            step = STEPS[query.resolution]
            if (until - since) // step > ROWS_MAX:
                raise ApiError(400, TOO_MANY)
            return query.resolution, step
        gone = [await self._sql.fetch(GONE, series, since - HOUR_MS, until) for series, _ in known]
        records_gone, minutes_gone = (any(rows[0][i] for rows in gone) for i in (0, 1))
        if not records_gone and await self._most(query, known, since, until, query.points) <= query.points:
            return "raw", 0
        if not minutes_gone and (until - since) // MINUTE_MS + 2 <= query.points:
            return "minute", MINUTE_MS
        hours = (until - since) // HOUR_MS + 2
        return "hour", HOUR_MS * -(-hours // (query.points - 1))

    async def _most(
        self, query: SeriesQuery, known: Sequence[tuple[int, Layout]], since: int, until: int, most: int
    ) -> int:
        """How many records the key has that has most; what is beyond `most` is not counted."""
        counts = {series: (await self._sql.fetch(COUNT, series, since, until, most + 1))[0][0] for series, _ in known}
        return max(
            sum(int(counts[series]) for series, layout in known if any(p.key == key for p in layout.points))
            for key in query.key
        )

    async def rows(
        self, node: str, device: str, point: Point, since: int, until: int, step: int
    ) -> Sequence[HistoryRow]:
        """By `step` ms, 0 for raw ones; the bucket that `since` stands in is whole. Raises StorageError."""
        begin = since // step * step if step else since
        history = await self._histories.series(node, device, point.key, begin, until, STORED.get(step, "1h"))
        return history.rows if step <= HOUR_MS else _coarser(history.rows, step, point.kind)


def point_of(known: Sequence[tuple[int, Layout]], key: str) -> Point:
    """The newest that has the key. Raises ApiError where there is none."""
    points = [point for _, layout in known for point in layout.points if point.key == key]
    if not points:
        raise ApiError(404, f"the device has no point {key}")
    return points[-1]


def _coarser(rows: Sequence[HistoryRow], step: int, kind: Kind) -> list[HistoryRow]:
    """Of hours: the mean of their means, each with the same weight; of what is no gauge the last."""
    found = []
    for ts, group in groupby(rows, key=lambda row: row.ts // step * step):
        known = [row for row in group if row.value is not None]
        lows = [row.low for row in known if row.low is not None]
        highs = [row.high for row in known if row.high is not None]
        if not known:
            found.append(HistoryRow(ts, None))
        elif kind == "gauge":
            value = fsum((row.value or 0) / len(known) for row in known)
            found.append(HistoryRow(ts, value, min(lows, default=None), max(highs, default=None)))
        else:
            found.append(HistoryRow(ts, known[-1].value, known[0].low, known[-1].high))
    return found
