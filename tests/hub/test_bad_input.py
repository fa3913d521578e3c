"""Whatever is wrong with a request, each route of the hub says so by a 4xx, and nothing of it is kept or told."""

import re
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from yarl import URL

from sync import enrol, wire
from sync.hub.app import API
from sync.hub.web.api import BODY_MAX, Nothing, Route, many_valued
from sync.hub.web.rights import Grant, Role
from tests.hub.clock import NOW
from tests.hub.everything import SECRET, hub
from tests.hub.stores import KINDS, place

Client = TestClient[web.Request, web.Application]
NASTY = (
    "' OR 1=1 --", "<script>alert(1)</script>", "a\0b", "../../etc/passwd", "%", "\N{SNOWMAN}" * 60, "x" * 5000,
    "NaN", "-1", str(10**18), str(2**63), str(2**64), "1e400", "0x10", " ", "null", "[]", "{}", "true", "\udcff",
)  # fmt: skip
RANGES = ((5, 5), (NOW, 0), (10**18, 10**18 + 1), (-5, 5), (0, 10**18), ("NaN", 5), (1.5, 7))
KNOWN = {"node": "mill-1", "site": "mill", "organisation": "north", "device": "meter", "key": "power"}


@pytest.fixture(params=KINDS)
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    async with hub(await place(request.param, request), tmp_path) as client:
        yield client


def routes(client: Client, *methods: str) -> list[Route[Any, Any]]:
    assert client.app is not None
    found = [route for route in client.app[API].routes if route.method in methods and not route.path.endswith("/live")]
    assert len(found) > 5
    return found


def filled(path: str, value: str = "") -> str:
    return re.sub(r"{(\w+)}", lambda named: value or KNOWN.get(named[1], "mill-1"), path)


def parameters(route: Route[Any, Any]) -> dict[str, str]:
    """Those that have to be there."""
    fields = msgspec.structs.fields(route.query)
    return {field.encode_name: KNOWN.get(field.encode_name, "1") for field in fields if field.required}


async def told(client: Client, method: str, path: str | URL, **more: Any) -> int:
    """The status; what went wrong is told in the one form, and not by us failing."""
    async with client.request(method, path, **more) as answer:
        assert answer.status < 500, f"{method} {path} {more}: {await answer.text()}"
        if answer.status >= 400:
            assert list(await answer.json()) == ["error"], f"{method} {path}"
        else:
            await answer.read()
        return answer.status


async def test_a_parameter_of_whatever_content_is_answered(client: Client) -> None:
    for route in routes(client, "GET"):
        for field in msgspec.structs.fields(route.query):
            for value in NASTY:
                asked = parameters(route) | {
                    field.encode_name: value.encode("utf-8", "surrogateescape").decode("latin-1")
                }
                await told(client, "GET", filled(route.path), params=asked)


async def test_a_name_in_the_path_of_whatever_content_is_not_there(client: Client) -> None:
    for route in routes(client, "GET"):
        if "{" in route.path:
            for value in ("' OR 1=1 --", "<b>", "%00", "%FF", "x" * 3000):
                assert await told(client, "GET", filled(route.path, value), params=parameters(route)) in (400, 404)


async def test_a_range_that_cannot_be_is_refused(client: Client) -> None:
    asked = 0
    for route in routes(client, "GET"):
        if {"since", "until"} <= {field.encode_name for field in msgspec.structs.fields(route.query)}:
            for since, until in RANGES:
                more = parameters(route) | {"since": str(since), "until": str(until)}
                assert await told(client, "GET", filled(route.path), params=more) == 400, (route.path, since, until)
            asked += 1
    assert asked >= 6


async def test_a_parameter_that_nobody_knows_or_that_comes_twice_is_refused(client: Client) -> None:
    for route in routes(client, "GET"):
        path = filled(route.path)
        if not parameters(route) and "{" not in path and route.query.__struct_config__.forbid_unknown_fields:
            assert await told(client, "GET", f"{path}?nobody=1") == 400, path
        for name in [field.encode_name for field in msgspec.structs.fields(route.query)][-1:]:
            query = urlencode([*parameters(route).items(), (name, "1"), (name, "1")])
            twice_is_many = name in many_valued(route.query)
            assert twice_is_many or await told(client, "GET", f"{path}?{query}") in (400, 404), path


async def test_a_body_of_whatever_content_is_refused(client: Client) -> None:
    nan = b'{"a": NaN}'
    for route in routes(client, "POST", "PUT", "PATCH", "DELETE"):
        path = filled(route.path, "nobody")
        for body in (b"", b"{", b"[]", b"7", b'"x"', nan, b"\xff", b'{"nobody": 1}', b"[" * 5000, b"{}" * 2):
            if route.body is not Nothing:
                more: dict[str, Any] = {"data": body, "headers": {"Content-Type": "application/json"}}
                assert 400 <= await told(client, route.method, path, **more) < 500, (path, body[:10])
        if route.body is not Nothing:
            huge = {"data": BytesIO(b" " * (BODY_MAX + 2)), "headers": {"Content-Type": "application/json"}}
            assert await told(client, route.method, path, **huge) in (404, 413), path
            assert await told(client, route.method, path, data=b"{}") in (404, 415), path


async def test_a_gateways_body_of_whatever_depth_is_refused(client: Client) -> None:
    node = {wire.NODE_ID: "mill-1", wire.NODE_SECRET: SECRET, wire.CURSOR: "0123456789abcdef:0-9"}
    for kind in ("records", "layouts", "events", "heartbeat", "ledger", "configuration", "secret"):
        for body in (b"\x91" * 100_000 + b"\x01", b"\x81\xa1a" * 100_000 + b"\x01", b"\xdd\xff\xff\xff\xff"):
            async with client.post(wire.PATH, data=body, headers=node | {wire.BATCH_TYPE: kind}) as answer:
                assert answer.status == 400, (kind, await answer.text())
    deep = {"data": b'{"nobody":' + b"[" * 8000 + b"]" * 8000 + b"}", "headers": {"Content-Type": "application/json"}}
    assert await told(client, "POST", enrol.PATH, **deep) == 400


async def test_who_has_no_right_gets_the_same_answer_for_what_is_foreign_and_for_what_is_not_there(
    client: Client,
) -> None:
    from tests.hub.signed import bearer

    assert client.app is not None
    headers = await bearer(client.app, Grant(Role.ADMIN, "north"), name="nora")
    for route in routes(client, "GET"):
        query = parameters(route)
        for name, foreign in (("node", "dam-1"), ("site", "dam"), ("organisation", "south")):
            if f"{{{name}}}" not in route.path and (name not in query or name == "organisation"):
                continue
            answers = []
            for one in (foreign, "nobody"):
                path = route.path.replace(f"{{{name}}}", one)
                more = query | ({name: one} if name in query else {})
                async with client.get(filled(path), params=more, headers=headers) as answer:
                    answers.append((answer.status, await answer.text()))
            assert answers[0] == answers[1], route.path
            assert answers[0][0] == 404, route.path


async def test_what_is_not_there_or_not_done_that_way_says_so_as_json(client: Client) -> None:
    assert await told(client, "GET", "/api/v1/nobody") == 404
    assert await told(client, "PATCH", "/api/v1/nodes") == 405
    async with client.options("/api/v1/nodes") as answer:
        assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
    async with client.head("/api/v1/nodes") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.P11
async def test_without_signing_in_nothing_is_told(client: Client) -> None:
    del client.session.headers["Authorization"]
    for route in routes(client, "GET", "POST", "PUT", "PATCH", "DELETE"):
        if route.right is not None:
            assert await told(client, route.method, filled(route.path)) == 401, route.path
