"""History and energy for charts, as JSON."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from gateway.core.errors import StorageError
from local_ui.ranges import parse_range, parse_resolution, periods
from local_ui.site import Site

PATIENCE_S = 30
AT_ONCE = 2  # charts that are made: of the looks into the file that go on at once one is left to the upkeep
CHARTS = web.AppKey("charts", asyncio.Semaphore)
T = TypeVar("T")


async def get_history(request: web.Request, site: Site) -> web.Response:
    """GET /api/v1/history?device=D&key=K&minutes=N, or &from=T&to=T, and &resolution=auto, raw, 1m or 1h

    -> {"device", "key", "resolution", "rows": [[ts, value or null, low or null, high or null]...]}.
    T is in milliseconds, or ISO 8601, without an offset in the site's time zone; `to` is now where it is not given.
    """
    device, key = request.query.get("device", ""), request.query.get("key", "")
    try:
        since, until = parse_range(request.query, site.state().now, site.zone)
        resolution = parse_resolution(request.query, until - since)
    except ValueError as error:
        return _error(400, str(error))
    unknown = "there is no such device or point"
    answer = await _asked(request, lambda: site.history(device, key, since, until, resolution), unknown)
    if isinstance(answer, web.Response):
        return answer
    return _json({"device": device, "key": key, "resolution": answer.resolution, "rows": answer.rows})


async def get_energy(request: web.Request, site: Site) -> web.Response:
    """GET /api/v1/energy?device=D&key=K&from=T&to=T&per=day, or hour: what a counter counted in each

    -> {"device", "key", "per", "rows": [[ts, increase or null, recovered]...], "total", "recovered"}.
    Days are those of the site's time zone; `recovered` came after a downtime, and may belong to an earlier period.
    """
    device, key, per = request.query.get("device", ""), request.query.get("key", ""), request.query.get("per", "day")
    try:
        bounds = periods(*parse_range(request.query, site.state().now, site.zone), per, site.zone)
    except ValueError as error:
        return _error(400, str(error))
    unknown = "there is no such device, or it has no such counter"
    answer = await _asked(request, lambda: site.energy(device, key, bounds), unknown)
    if isinstance(answer, web.Response):
        return answer
    counted = [row.increase for row in answer if row.increase is not None]
    total, recovered = sum(counted) if counted else None, sum(row.recovered for row in answer)
    return _json({"device": device, "key": key, "per": per, "rows": answer, "total": total, "recovered": recovered})


async def _asked(request: web.Request, question: Callable[[], Awaitable[T]], unknown: str) -> T | web.Response:
    try:
        async with asyncio.timeout(PATIENCE_S), request.app[CHARTS]:
            return await question()
    except KeyError:
        return _error(404, unknown)
    except StorageError as error:
        return _error(503, f"the disk does not give the history just now: {error}")
    except TimeoutError:
        return _error(503, f"the history did not come within {PATIENCE_S} s; ask for a shorter time")


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
