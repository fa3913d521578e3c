"""Completeness: of each device and hour how many records the hub holds, and how many there should be (P10).

`expected` is an estimate: by the usual distance of a poll group's records, as if the device had always answered. What
`lacking` says is no estimate: by its own account the node has so many records that the hub has not.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec

from gateway.core.model import Layout
from gateway.core.rollup import DAY_MS, HOUR_MS
from sync.hub.intake.ledgers import Ledgers
from sync.hub.reading.expecting import ends, expected, usual_ms
from sync.hub.rollup.rollups import HoursHeld
from sync.hub.store.layouts import series_of
from sync.hub.store.sql import Sql
from sync.hub.web.api import ApiError, Call, Nothing, Route
from sync.hub.web.paging import Ms, Named, checked_range
from sync.hub.web.rights import Role

SAMPLE = "SELECT ts FROM record WHERE series = $1 AND ts < $2 ORDER BY ts DESC LIMIT 200"
BEGIN = """SELECT (SELECT min(ts) FROM record WHERE series = $1), (SELECT min(day) FROM rollup_1h WHERE series = $1)"""
STEPS = {"hour": HOUR_MS, "day": DAY_MS}
CELLS_MAX = 800  # of a device


class CompletenessQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: Named
    since: Annotated[Ms | None, msgspec.Meta(description="without: a week before until")] = None
    until: Annotated[Ms | None, msgspec.Meta(description="without: now")] = None
    by: Literal["hour", "day"] = "hour"


class DeviceHours(msgspec.Struct, frozen=True):
    """One device, a number a step, in order of time; null: nobody knows how many there should be."""

    device: str
    held: list[int]
    expected: list[int | None]
    lacking: list[int]


class Completeness(msgspec.Struct, frozen=True):
    """`since`: when the first step begins; all in ms."""

    since: int
    until: int
    step_ms: int
    devices: list[DeviceHours]


class HeldBy(Protocol):
    async def completeness(self, node: str, since: int, until: int) -> list[HoursHeld]:
        """See `sync.hub.rollup.rollups.Rollups.completeness`."""
        ...


class CompletenessApi:
    """The route."""

    def __init__(self, sql: Sql, rollups: HeldBy) -> None:
        self._sql = sql
        self._rollups = rollups
        self._ledgers = Ledgers(sql)

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/completeness", summary="How much of each device is held, by hour or day",
                right=Role.VIEWER, handle=self._of, query=CompletenessQuery, body=Nothing, answer=Completeness,
            ),
        )  # fmt: skip

    async def _of(self, call: Call[CompletenessQuery, Nothing]) -> Completeness:
        query, step = call.query, STEPS[call.query.by]
        since, until = checked_range(query.since, query.until, call.now, 7 * DAY_MS)
        if -(-(until - since // step * step) // step) > CELLS_MAX:
            raise ApiError(400, f"more than {CELLS_MAX} steps: ask for less time, or by day")
        return await self.of(query.node, since, until, step, call.now)

    async def of(self, node: str, since: int, until: int, step: int, now: int) -> Completeness:
        """In steps of `step` ms, whole hours; the first has `since` in it. Raises StorageError."""
        since = since // step * step
        count = -(-(until - since) // step)
        until = since + count * step
        held = {one.layout.id: one.records for one in await self._rollups.completeness(node, since, until)}
        differing = await self._ledgers.between(node, since, until)
        lives = await self._lives(await series_of(self._sql, node), held, until, now)
        devices: dict[str, DeviceHours] = {}
        for layout, begin, end, usual in lives:
            device = devices.setdefault(
                layout.device, DeviceHours(layout.device, [0] * count, [0] * count, [0] * count)
            )
            records = held.get(layout.id, {})
            for hour in range(since, until, HOUR_MS):
                at, here = (hour - since) // step, records.get(hour, 0)
                if hour + HOUR_MS <= begin or hour >= end:
                    should: int | None = 0
                else:
                    should = None if usual is None else expected(hour, begin, end, usual)
                before = device.expected[at]
                device.held[at] += here
                device.expected[at] = None if should is None or before is None else before + should
                device.lacking[at] += max(0, differing.get((layout.id, hour), 0) - here)
        return Completeness(since, until, step, [devices[name] for name in sorted(devices)])

    async def _lives(
        self, known: Sequence[tuple[int, Layout]], held: dict[bytes, dict[int, int]], until: int, now: int
    ) -> list[tuple[Layout, int, int, float | None]]:
        """Of each series that ever had a record when it began and ended, and the usual distance of its records."""
        begins: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        usual: dict[int, float | None] = {}
        for series, layout in known:
            begin = _begin(*(await self._sql.fetch(BEGIN, series))[0])
            if begin is not None:
                begins[layout.device, layout.group].append((series, begin))
                times = [ts for (ts,) in await self._sql.fetch(SAMPLE, series, until)]
                usual[series] = usual_ms(times[::-1], held.get(layout.id, {}))
        layouts, lives = dict(known), []
        for group in begins.values():
            end = ends(group, now)
            lives += [(layouts[series], begin, end[series], usual[series]) for series, begin in group]
        return lives


def _begin(first: int | None, day: int | None) -> int | None:
    """Of a series with its first record at `first`, and roll-ups from `day` on: their records may have gone."""
    if first is None or day is None:
        return day if first is None else first
    return day if day < first // DAY_MS * DAY_MS else first
