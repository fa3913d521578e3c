"""What every program of ours serves its page with."""

import asyncio
import logging

import pytest
from aiohttp import web

from gateway.running import serve
from tests.gateway.ports import free_port


async def answer_to(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_what_is_no_http_is_refused_and_no_secret_in_it_gets_into_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    async with serve(web.Application(), "127.0.0.1", port):
        broken = b"GET / HTTP/1.1\r\nHost: hub\r\nX-Node-Secret: a secret\nof two lines\r\n\r\n"
        assert b"400" in await answer_to(port, broken)
    assert caplog.text == ""


async def test_a_mistake_of_ours_is_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(request: web.Request) -> web.Response:
        raise RuntimeError("ours")

    app, port = web.Application(), free_port()
    app.router.add_get("/", fails)
    async with serve(app, "127.0.0.1", port):
        assert b"500" in await answer_to(port, b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
    (record,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert record.exc_info is not None and str(record.exc_info[1]) == "ours"
