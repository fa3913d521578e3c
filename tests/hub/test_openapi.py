"""The OpenAPI document is true: what comes back conforms to it, whatever is asked, and is never a failure of ours."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sync import wire
from tests.hub.everything import hub

LINE_MAX = 8000  # of the request's first line aiohttp takes no more, before it is anything of ours
EXAMPLES = 60 if os.environ.get("HOLDFAST_LONG") == "1" else 6  # of each operation
# Of nodes' doors with their own secrets, MessagePack and files the document says only that they are there; streams do
# not end; and after signing out nothing more is asked.
NOT_ASKED = ("/live", "/ingest", "/api/v1/commands", "/carry", "/enrol", "/stream", "/sign-out")
KNOWN = {"node": "mill-1", "site": "mill", "organisation": "north", "device": "meter", "key": ["power", "voltage"]}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

ONCE = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


class Running(NamedTuple):
    url: str
    headers: dict[str, str]
    document: dict[str, Any]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A hub in a thread of its own: schemathesis asks from this one."""
    ready: Future[tuple[Running, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run(folder: Path) -> None:
        async with hub("hub.db", folder) as client:
            headers = {"Authorization": client.session.headers["Authorization"]}
            document = await (await client.get("/api/v1/openapi.json")).json()
            stop = asyncio.Event()
            ready.set_result((Running(str(client.make_url("")), headers, document), asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run(tmp_path_factory.mktemp("hub"))))
    thread.start()
    told, loop, stop = ready.result(30)
    yield told
    loop.call_soon_threadsafe(stop.set)
    thread.join()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_asked_the_answer_is_as_the_document_says(running: Running, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(running.document)
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(NOT_ASKED):
            continue

        @ONCE
        @given(case=operation.as_strategy(generation_mode=mode))
        def conforms(case: schemathesis.Case) -> None:
            if mode is GenerationMode.POSITIVE:  # what is there: else nearly all answers are 404
                case.path_parameters.update({name: KNOWN[name] for name in KNOWN if name in case.path_parameters})
                case.query.update({name: KNOWN[name] for name in KNOWN if name in case.query})
            asked = requests.Request(**case.as_transport_kwargs(base_url=running.url)).prepare()
            assume(len(asked.path_url) < LINE_MAX)
            case.call_and_validate(base_url=running.url, headers=running.headers, checks=CHECKS)

        with contextlib.suppress(Unsatisfiable):  # there is nothing that could be wrong with it
            conforms()
            asked += 1
    assert asked > 15


async def test_every_way_in_is_in_the_document(tmp_path: Path) -> None:
    async with hub("hub.db", tmp_path) as client:
        document = await (await client.get("/api/v1/openapi.json")).json()
        assert client.app is not None
        routes = [(route.method.lower(), route.resource) for route in client.app.router.routes()]
    there = {(method, of.canonical) for method, of in routes if of is not None and of.canonical.startswith("/api/")}
    told = {(method, path) for path, operations in document["paths"].items() for method in operations}
    assert {one for one in there if one[0] != "head"} == told
    kinds = document["paths"][wire.PATH]["post"]["parameters"][0]["schema"]["enum"]
    assert kinds == list(get_args(wire.BatchType))
