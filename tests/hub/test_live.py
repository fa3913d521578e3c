"""The newest values as they come, to whoever looks on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.clock import SystemClock
from sync.hub.reading.nodes import Nodes
from sync.hub.reading.routes import reading_routes
from sync.hub.store.contract import Store
from sync.hub.web.api import Api
from sync.hub.web.sse import Pace, Streams
from sync.hub.web.tenants import Tenants
from tests.hub.clock import NOW
from tests.hub.signing import OF_NORTH, SignedIn, keep, settle
from tests.values import METER, meter, power

QUICK = Pace(apart_s=0.01, look_s=0.02)
Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def store(store: Store) -> Store:
    await settle(store)
    await keep(store, "mill-1", METER, [power(NOW - 1000, 1)])
    return store


@asynccontextmanager
async def looking(store: Store, pace: Pace) -> AsyncIterator[tuple[Client, Streams]]:
    app, streams = web.Application(), Streams(SystemClock(), pace)
    app.on_shutdown.append(streams.end)
    routes = reading_routes(store.sql, Nodes(store.sql), streams, SystemClock())
    Api(SignedIn(OF_NORTH), Tenants(store.sql), SystemClock()).add(app, routes)
    async with TestClient(TestServer(app)) as client:
        yield client, streams


async def told(answer: aiohttp.ClientResponse) -> Any:
    """The next event."""
    while not (line := await answer.content.readline()).startswith(b"data: "):
        assert line, "the stream has ended"
    return msgspec.json.decode(line[6:])


async def test_the_first_event_has_all_and_each_after_it_what_is_new(store: Store) -> None:
    async with looking(store, QUICK) as (client, _):
        answer = await client.get("/api/v1/nodes/mill-1/live")
        assert answer.content_type == "text/event-stream"
        assert [one["name"] for one in (await told(answer))["nodes"][0]["devices"]] == ["meter"]
        await keep(store, "mill-1", meter("amp"), [power(NOW - 500, 7, layout=meter("amp"))])
        (node,) = (await told(answer))["nodes"]
        assert [(one["name"], one["readings"][0]["value"]) for one in node["devices"]] == [("amp", 7)]
        answer.close()


async def test_of_a_site_come_its_own_nodes_and_of_a_foreign_one_nothing(store: Store) -> None:
    async with looking(store, QUICK) as (client, _):
        answer = await client.get("/api/v1/live?site=mill")
        assert [one["id"] for one in (await told(answer))["nodes"]] == ["mill-1"]
        answer.close()
        assert (await client.get("/api/v1/live?site=dam")).status == 404
        assert (await client.get("/api/v1/nodes/dam-1/live")).status == 404
        assert (await client.get("/api/v1/live")).status == 400


async def test_a_ring_is_heard_though_the_next_look_is_far_away(store: Store) -> None:
    async with looking(store, Pace(apart_s=0.01, look_s=1e6)) as (client, streams):
        answer = await client.get("/api/v1/nodes/mill-1/live")
        await told(answer)
        await keep(store, "mill-1", METER, [power(NOW - 10, 8)])
        streams.ring()
        assert (await told(answer))["nodes"][0]["newest"] == NOW - 10
        answer.close()


async def test_a_stream_in_which_nothing_happens_says_that_it_is_there(store: Store) -> None:
    async with looking(store, Pace(apart_s=0.001, look_s=0.002, heartbeat_s=0.01)) as (client, _):
        answer = await client.get("/api/v1/nodes/mill-1/live")
        await told(answer)
        await answer.content.readuntil(b": still here\n\n")
        answer.close()


async def test_a_stream_ends_with_the_hub_and_when_its_time_is_over(store: Store) -> None:
    async with looking(store, Pace(apart_s=0.001, look_s=0.002, life_s=0.05)) as (client, _):
        answer = await client.get("/api/v1/nodes/mill-1/live")
        assert (await answer.content.read()).endswith(b": ended by the hub; come again\n\n")
    async with looking(store, Pace(look_s=1e6, apart_s=1e6)) as (client, streams):
        answer = await client.get("/api/v1/nodes/mill-1/live")
        await told(answer)
        await streams.end(client.app)
        assert (await answer.content.read()).endswith(b": ended by the hub; come again\n\n")


@pytest.mark.P11
@pytest.mark.parametrize("path", ["/api/v1/nodes/mill-1/live", "/api/v1/live?site=mill"])
async def test_a_stream_ends_when_its_reader_may_look_no_longer(store: Store, path: str) -> None:
    app, streams = web.Application(), Streams(SystemClock(), Pace(apart_s=0.01, look_s=0.02, check_s=0.05))
    signed = SignedIn(OF_NORTH)
    Api(signed, Tenants(store.sql), SystemClock()).add(
        app, reading_routes(store.sql, Nodes(store.sql), streams, SystemClock())
    )
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(path)
        await told(answer)
        await keep(store, "mill-1", METER, [power(NOW, 2)])
        assert (await told(answer))["nodes"][0]["records"] == 2, "it goes on while nothing changes"
        signed.is_now = None
        assert (await answer.content.read()).count(b"data: ") == 0
        assert (await client.get(path)).status == 401


@pytest.mark.P11
async def test_nobody_takes_all_the_streams_that_there_are(store: Store) -> None:
    pace = Pace(apart_s=0.001, look_s=0.002, heartbeat_s=0.01, of_one_max=2)
    async with looking(store, pace) as (client, streams):
        answers = await asyncio.gather(*(client.get("/api/v1/nodes/mill-1/live") for _ in range(3)))
        assert sorted(answer.status for answer in answers) == [200, 200, 429]
        for answer in answers:
            answer.close()
        while streams.open:
            await asyncio.sleep(0)
        async with client.get("/api/v1/nodes/mill-1/live") as again:
            assert again.status == 200


async def test_more_streams_than_there_is_room_for_are_turned_away_until_one_has_gone(store: Store) -> None:
    async with looking(store, Pace(apart_s=0.001, look_s=0.002, heartbeat_s=0.01, streams_max=1)) as (client, streams):
        answer = await client.get("/api/v1/nodes/mill-1/live")
        await told(answer)
        assert (await client.get("/api/v1/nodes/mill-1/live")).status == 503
        answer.close()
        while streams.open:
            await asyncio.sleep(0)
        (await client.get("/api/v1/nodes/mill-1/live")).close()


async def test_who_does_not_read_is_dropped(store: Store) -> None:
    many = msgspec.structs.replace(METER, device="many", points=tuple(_points()))
    await keep(store, "mill-1", many, [_of(many, NOW)])
    async with looking(store, Pace(apart_s=0.001, look_s=0.002, patience_s=0.05)) as (client, streams):
        answer = await client.get("/api/v1/nodes/mill-1/live")
        at = NOW
        while streams.open:  # until what the sockets hold is full
            at += 1
            await keep(store, "mill-1", many, [_of(many, at)])
        answer.close()


def _points() -> Any:
    return [msgspec.structs.replace(METER.points[0], key=f"a key with a long name, number {n}") for n in range(1000)]


def _of(layout: Any, ts: int) -> Any:
    return msgspec.structs.replace(power(ts, 1), layout_id=layout.id, row=layout.rows.pack([1] * 1000))
