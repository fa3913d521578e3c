"""Readings as one long file, CSV or lines of JSON: piece by piece, each when the one before it has gone."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, tzinfo
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from gateway.core.cells import is_plotted
from gateway.core.errors import StorageError
from gateway.core.model import Layout
from gateway.core.rollup import DAY_MS
from sync.hub.reading.series import STEPS, Series
from sync.hub.reading.tabling import LOCAL, RAW, ROLLED, Csv, JsonLines, Source
from sync.hub.store.layouts import series_of
from sync.hub.store.sql import Sql
from sync.hub.web.api import ApiError, Call, Nothing, Route, check_again
from sync.hub.web.conditions import Where
from sync.hub.web.paging import Ms, Name, checked_range
from sync.hub.web.rights import Role

NODES = """SELECT node.id, coalesce(site.id, ''), coalesce(site.timezone, 'UTC')
    FROM node LEFT JOIN site ON site.id = node.site WHERE {where} ORDER BY node.id"""
RECORDS = "SELECT ts, flags, row FROM record WHERE series = $1 AND ts >= $2 AND ts < $3 ORDER BY ts LIMIT $4"
# By the time of these, for no loop over days shall be longer than what is there.
DAYS = """SELECT day FROM rollup_1h WHERE series = $1 AND day > $2 AND day < $3
    UNION SELECT hour - hour % 86400000 FROM dirty WHERE series = $1 AND hour > $2 AND hour < $3"""
READINGS_AT_ONCE = 20_000
PATIENCE_S = 60.0  # with who reads no more of it
CHECK_S = 60.0  # then it is looked whether the caller still may
ROLLED_DAYS = {"minute": 10, "hour": 400}  # of one point at once

log = logging.getLogger(__name__)


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: Annotated[Name, msgspec.Meta(description="this, or site")] = ""
    site: Name = ""
    device: Name = ""
    key: Annotated[tuple[Name, ...], msgspec.Meta(max_length=200, description="without: all")] = ()
    since: Annotated[Ms | None, msgspec.Meta(description="without: a day before until")] = None
    until: Annotated[Ms | None, msgspec.Meta(description="without: now")] = None
    resolution: Literal["raw", "minute", "hour"] = "raw"
    format: Literal["csv", "ndjson"] = "csv"
    local: Annotated[bool, msgspec.Meta(description="a column with the time in the site's time zone")] = False


class Export:
    """The route."""

    def __init__(
        self, sql: Sql, series: Series, *, patience_s: float = PATIENCE_S, check_s: float = CHECK_S
    ) -> None:  # fmt: skip
        self._sql = sql
        self._series = series
        self._patience_s = patience_s
        self._check_s = check_s

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/export", summary="All readings of a site, a node or a device, as one file",
                right=Role.VIEWER, handle=self._export, query=ExportQuery, body=Nothing, answer=str,
                media="text/csv, application/x-ndjson",
            ),
        )  # fmt: skip

    async def _export(self, call: Call[ExportQuery, Nothing]) -> web.StreamResponse:
        if not (call.query.node or call.query.site):
            raise ApiError(400, "parameters: say which node or which site")
        table = Csv() if call.query.format == "csv" else JsonLines()
        pieces = self._pieces(call, table)
        begin = await anext(pieces)  # what can go wrong at once is still told by the status
        response = web.StreamResponse(
            headers={
                "Content-Type": table.media,
                "Content-Disposition": f'attachment; filename="{table.name}"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            }
        )
        await response.prepare(call.request)
        try:
            await self._write(response, begin)
            checked_s = asyncio.get_running_loop().time()
            async for piece in pieces:
                await self._write(response, piece)
                if (now_s := asyncio.get_running_loop().time()) - checked_s >= self._check_s:
                    await check_again(call)
                    checked_s = now_s
            await response.write_eof()
        except (StorageError, ApiError, TimeoutError) as error:
            why = error.in_full if isinstance(error, StorageError) else str(error) or "nobody reads it"
            log.warning("export broken off", extra={"why": why})
            if call.request.transport is not None:
                call.request.transport.abort()  # half a file must not look like a whole one
        except ConnectionError:  # whoever asked has gone
            pass
        finally:
            await pieces.aclose()
        return response

    async def _write(self, response: web.StreamResponse, piece: bytes) -> None:
        """Waits for who reads slowly. Raises TimeoutError where nothing is read any more."""
        async with asyncio.timeout(self._patience_s):
            await response.write(piece)

    async def _pieces(self, call: Call[ExportQuery, Nothing], table: Csv | JsonLines) -> AsyncGenerator[bytes, None]:
        """The head, then node by node, device by device, in order of time what each series has."""
        query = call.query
        since, until = checked_range(query.since, query.until, call.now, DAY_MS)
        where = Where()
        where.granted(call.caller)
        where.equal({"node.id": query.node, "node.site": query.site})
        nodes = await self._sql.fetch(NODES.format(where=where), *where.parameters)
        columns = RAW if query.resolution == "raw" else ROLLED
        yield table.head([*columns, LOCAL] if query.local else columns)
        for node, site, timezone in nodes:
            zone = await asyncio.to_thread(zone_of, timezone) if query.local else None
            known = await series_of(self._sql, node, query.device)
            for device in sorted({layout.device for _, layout in known}):
                of_device = [(series, layout) for series, layout in known if layout.device == device]
                source = Source(site, node, device, zone)
                if query.resolution == "raw":
                    found = self._raw(table, source, of_device, query.key, since, until)
                else:
                    found = self._rolled(table, source, of_device, query, since, until)
                async for piece in found:
                    yield piece

    async def _raw(
        self, table: Csv | JsonLines, source: Source, known: Sequence[tuple[int, Layout]],
        keys: Sequence[str], since: int, until: int,
    ) -> AsyncGenerator[bytes, None]:  # fmt: skip
        for series, layout in known:
            wanted = [index for index, point in enumerate(layout.points) if not keys or point.key in keys]
            most, behind = max(1, READINGS_AT_ONCE // max(1, len(wanted))), since
            while wanted:
                rows = await self._sql.fetch(RECORDS, series, behind, until, most)
                if rows:
                    yield await asyncio.to_thread(table.raw, source, layout, wanted, [tuple(row) for row in rows])
                if len(rows) < most:
                    break
                behind = rows[-1][0] + 1

    async def _rolled(
        self, table: Csv | JsonLines, source: Source, known: Sequence[tuple[int, Layout]],
        query: ExportQuery, since: int, until: int,
    ) -> AsyncGenerator[bytes, None]:  # fmt: skip
        """In the unit that a point has now."""
        points = {point.key: point for _, layout in known for point in layout.points}
        days = {day for one, _ in known for (day,) in await self._sql.fetch(DAYS, one, since - DAY_MS, until)}
        pieces = _pieces(sorted(days), since, until, ROLLED_DAYS[query.resolution] * DAY_MS)
        for key, point in points.items():
            if not is_plotted(point) or (query.key and key not in query.key):
                continue
            for lo, hi in pieces:
                rows = await self._series.rows(source.node, source.device, point, lo, hi, STEPS[query.resolution])
                rows = [row for row in rows if row.ts >= lo or lo == since]  # each piece begins with a whole bucket
                if rows:
                    yield await asyncio.to_thread(table.rolled, source, key, point.unit, rows)


def _pieces(days: Sequence[int], since: int, until: int, length: int) -> list[tuple[int, int]]:
    """The stretches, none longer than `length`, that hold these days: decades of nothing, as before a gateway had the
    time, or after it had another's, cost nothing."""
    found: list[tuple[int, int]] = []
    behind = since
    for day in days:
        if behind < min(day + DAY_MS, until):
            begin = max(behind, day)
            behind = min(begin + length, until)
            found.append((begin, behind))
    return found


def zone_of(name: str) -> tzinfo:
    """UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return UTC
