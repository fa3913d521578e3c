"""Readings as one long file."""

import asyncio
import csv
import io
import json

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.clock import SystemClock
from gateway.core.model import UNCERTAIN, Layout, Point, Record
from sync.hub.reading.export import Export
from sync.hub.reading.series import Series
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.contract import Store
from sync.hub.web.api import Api
from sync.hub.web.tenants import Tenants
from tests.hub.clock import NOW
from tests.hub.signing import OF_NORTH, SignedIn, client, keep, settle
from tests.hub.test_reading import routes
from tests.values import METER, power

DAY = 86_400_000


@pytest.fixture
async def store(store: Store) -> Store:
    await settle(store)
    return store


async def text(store: Store, query: str) -> str:
    async with client(store, routes(store), OF_NORTH) as api:
        answer = await api.get(f"/api/v1/export?{query}")
        assert answer.status == 200, await answer.text()
        return (await answer.read()).decode()


async def test_every_reading_of_a_site_is_a_line_with_its_time(store: Store) -> None:
    await keep(store, "mill-1", METER, [power(NOW - 1234, 7)])
    await keep(store, "dam-1", METER, [power(NOW - 1234, 8)])
    lines = (await text(store, "site=mill&local=true")).split("\r\n")
    assert lines == [
        "time,ts,site,node,device,key,unit,value,quality,flags,local_time",
        f"2026-09-21T14:13:18.766Z,{NOW - 1234},mill,mill-1,meter,power,W,7,good,,2026-09-21T16:13:18.766+02:00",
        f"2026-09-21T14:13:18.766Z,{NOW - 1234},mill,mill-1,meter,voltage,V,230.0,good,,2026-09-21T16:13:18.766+02:00",
        "",
    ]


async def test_more_than_goes_into_one_piece_comes_whole_and_in_order(store: Store) -> None:
    layout = Layout("meter", "live", (Point("n", "u32"),))
    times = range(NOW - 45_001, NOW)
    await keep(store, "mill-1", layout, [Record(layout.id, ts, layout.rows.pack([ts % 1000])) for ts in times])
    lines = list(csv.DictReader(io.StringIO(await text(store, f"node=mill-1&since={NOW - DAY}"))))
    assert [int(line["ts"]) for line in lines] == list(times)


@pytest.mark.P11
async def test_no_name_becomes_a_formula_and_no_mark_ends_a_cell(store: Store) -> None:
    layout = Layout('=cmd|"a",b', "live", (Point("@sum", "text:40"), Point("n", "i16", unit="-x")))
    await keep(store, "mill-1", layout, [Record(layout.id, NOW - 1, layout.rows.pack(['+1\r\n"', -5]), UNCERTAIN)])
    words, number = csv.DictReader(io.StringIO(await text(store, "node=mill-1"), newline=""))
    assert words["device"] == """'=cmd|"a",b"""
    assert (words["key"], words["value"], words["flags"]) == ("'@sum", "'+1\r\n\"", "uncertain")
    assert (number["unit"], number["value"]) == ("'-x", "-5")


async def test_lines_of_json_have_the_same(store: Store) -> None:
    layout = Layout("tank", "live", (Point("level", "f32"), Point("name", "text:8")))
    rows = [layout.rows.pack([None, "=a"]), layout.rows.pack([float("-inf"), ""])]
    await keep(store, "mill-1", layout, [Record(layout.id, NOW - 2 + n, row) for n, row in enumerate(rows)])
    lines = [json.loads(line) for line in (await text(store, "node=mill-1&format=ndjson")).splitlines()]
    assert [(one["key"], one["value"], one["quality"]) for one in lines] == [
        ("level", None, "missing"), ("name", "=a", "good"), ("level", None, "missing"), ("name", "", "good"),
    ]  # fmt: skip


async def test_centuries_of_nothing_between_readings_take_no_time(store: Store) -> None:
    times = [0, DAY, NOW - 25 * DAY, NOW - 1, 2**53 - 1]
    await keep(store, "mill-1", METER, [power(ts, n) for n, ts in enumerate(times)])
    query = f"node=mill-1&since=0&until={2**53 - 1}&resolution=minute&key=power"
    lines = list(csv.DictReader(io.StringIO(await text(store, query))))
    assert [int(line["ts"]) for line in lines] == [ts // 60_000 * 60_000 for ts in times]


async def test_minutes_and_hours_come_rolled_up_over_any_time(store: Store) -> None:
    begin = (NOW // DAY - 30) * DAY
    await keep(store, "mill-1", METER, [power(begin + 20 * 60_000 * n, n) for n in range(30 * 72)])
    lines = list(csv.DictReader(io.StringIO(await text(store, "node=mill-1&since=0&resolution=hour&key=power"))))
    assert [(int(line["ts"]), float(line["value"])) for line in lines] == [
        (begin + 3_600_000 * n, 3 * n + 1) for n in range(720)
    ]
    minutes = (await text(store, f"node=mill-1&since={begin}&until={NOW}&resolution=minute&device=meter")).splitlines()
    assert len(minutes) == 1 + 2 * 30 * 72


@pytest.mark.P11
async def test_a_foreign_site_is_not_there_and_nothing_at_all_is_asked_for_better(store: Store) -> None:
    async with client(store, routes(store), OF_NORTH) as api:
        for query, status in {"site=dam": 404, "node=dam-1": 404, "": 400, "node=mill-1&site=dam": 404}.items():
            assert (await api.get(f"/api/v1/export?{query}")).status == status, query


async def keep_much(store: Store) -> None:
    """More than sockets hold."""
    layout = Layout("meter", "live", tuple(Point(f"n{n}", "u32") for n in range(200)))
    rows = [Record(layout.id, NOW - n - 1, layout.rows.pack([n] * 200)) for n in range(4000)]
    await keep(store, "mill-1", layout, rows)


async def test_who_goes_away_amid_a_file_ends_it(store: Store) -> None:
    await keep_much(store)
    async with client(store, routes(store)) as api:
        answer = await api.get("/api/v1/export?node=mill-1")
        assert await answer.content.readline()
        answer.close()
        assert (await api.get("/api/v1/nodes")).status == 200


async def test_a_file_that_nobody_reads_on_is_broken_off(store: Store) -> None:
    await keep_much(store)
    export = Export(store.sql, Series(store.sql, Rollups(store.sql)), patience_s=0.05)
    async with client(store, export.routes()) as api:
        answer = await api.get("/api/v1/export?node=mill-1")
        server = api.server.runner.server  # type: ignore[attr-defined, union-attr]
        while server.connections:
            await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


@pytest.mark.P11
async def test_a_file_ends_when_its_reader_may_look_no_longer(store: Store) -> None:
    await keep_much(store)
    export, signed = Export(store.sql, Series(store.sql, Rollups(store.sql)), check_s=0), SignedIn(OF_NORTH)
    app = web.Application()
    Api(signed, Tenants(store.sql), SystemClock()).add(app, export.routes())
    async with TestClient(TestServer(app)) as api:
        answer = await api.get(f"/api/v1/export?node=mill-1&since={NOW - DAY}&until={NOW}")
        assert await answer.content.readline()
        signed.is_now = None
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
