"""POST /api/push/DEVICE, over HTTP."""

import asyncio
import contextlib
import gzip
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.core.credential import digest
from gateway.core.errors import StorageError
from gateway.core.pushed import PushAnswer
from gateway.running import serve
from local_ui.app import build_app
from local_ui.push import BODY_MAX, HELD_MAX, SMALL, PushDoor
from tests.gateway.ports import free_port
from tests.intake.parts import NOW, TOKEN, Side, side
from tests.local_ui.parts import FakeSite

BEARER = {"Authorization": f"Bearer {TOKEN}"}
AUTHORIZED = f"Authorization: Bearer {TOKEN}\r\n".encode()
PATIENCE_S = 10
GOOD = json.dumps({"ts": NOW, "values": {"power": 1}}).encode()


class FullDisk:
    """Meets `PushDoor`."""

    def knows(self, device: str) -> bool:
        return True

    def admits(self, device: str, token: str) -> bool:
        return True

    async def push(self, device: str, body: bytes, content_type: str) -> PushAnswer:
        raise StorageError("the disk is full")


@asynccontextmanager
async def page(door: PushDoor) -> AsyncIterator[aiohttp.ClientSession]:
    app = build_app(FakeSite(), password_sha256=digest("the page's own"), push=door)
    async with serve(app, "127.0.0.1", free_port(), unpack=False) as address, aiohttp.ClientSession(address) as http:
        yield http


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[Side, aiohttp.ClientSession]]:
    async with side(folder) as gateway, page(gateway.intake) as http:
        yield gateway, http


async def post(http: aiohttp.ClientSession, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    async with http.post("/api/push/Mill%20meter", data=io.BytesIO(body), headers=headers) as answer:
        return answer.status, await answer.json()


@asynccontextmanager
async def speaking(
    http: aiohttp.ClientSession, headers: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection of its own on which the head of a push has been sent, byte by byte as it is given."""
    address = http._base_url
    assert address is not None
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(b"POST /api/push/Mill%20meter HTTP/1.1\r\nHost: gateway\r\n" + headers + b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_device_gets_its_answer_when_the_record_is_on_the_disk(tmp_path: Path) -> None:
    async with both(tmp_path) as (gateway, http):
        for headers in (BEARER, {"X-Device-Token": TOKEN}):
            status, answer = await post(http, GOOD, headers)
            assert status == 200
        assert answer == {"accepted": 0, "duplicate": 1, "doubtful": 0, "rejected": []}
        assert len(await gateway.kept()) == 1


@pytest.mark.P11
async def test_nothing_is_taken_without_the_devices_own_token(tmp_path: Path) -> None:
    async with both(tmp_path) as (gateway, http):
        for headers in ({}, {"X-Device-Token": "wrong"}, {"X-Device-Token": ""}, {"Authorization": f"Basic {TOKEN}"}):
            assert (await post(http, GOOD, headers))[0] == 401
        async with http.post("/api/push/Nobody", data=GOOD, headers=BEARER) as answer:
            assert answer.status == 404
        async with http.get("/api/v1/state", headers=BEARER) as answer:
            assert answer.status == 401, "a device's token opens nothing else"
        assert await gateway.kept() == []


@pytest.mark.P11
@pytest.mark.parametrize("header", [b"X-Device-Token: \xff", b"Authorization: Bearer \xe9"])
async def test_a_token_that_is_not_utf_8_is_wrong_and_no_more(tmp_path: Path, header: bytes) -> None:
    async with both(tmp_path) as (_, http), speaking(http, header + b"\r\nContent-Length: 0") as (reader, _writer):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"ts": 1790000000, "values": {"a": "\\ud800"}}', "application/json"),
        (b'{"ts": 1790000000, "values": {"a\\ud800": 1}}', "application/json"),
        (b"\n,,,\n,,\n", "text/csv"),
        (b'"\n"', "text/csv"),
        (b"--x\r\n\r\n{}\r\n--x--\r\n", "multipart/form-data; boundary=\u00e9"),
        (b"--x\r\n\r\n{}\r\n--x--\r\n", "multipart/form-data; boundary=\udcff"),
    ],
)
async def test_what_nobody_can_read_is_the_senders_fault(tmp_path: Path, body: bytes, content_type: str) -> None:
    async with both(tmp_path) as (gateway, http):
        type_of_it = b"Content-Type: " + content_type.encode(errors="surrogateescape")
        length = f"\r\nContent-Length: {len(body)}".encode()
        async with speaking(http, AUTHORIZED + type_of_it + length) as (reader, writer):
            writer.write(body)
            assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        assert await gateway.kept() == []


async def test_gzip_is_taken_and_gzip_that_was_cut_off_is_not(tmp_path: Path) -> None:
    async with both(tmp_path) as (gateway, http):
        packed = BEARER | {"Content-Encoding": "gzip"}
        many = "\n".join(json.dumps({"ts": NOW + i, "values": {"power": i * i}}) for i in range(3000)).encode()
        status, answer = await post(http, gzip.compress(many)[:-2000], packed)
        assert (status, answer) == (400, {"error": "gzip that ends too early"})
        assert await gateway.kept() == []
        status, answer = await post(http, gzip.compress(many), packed)
        assert (status, answer["accepted"]) == (200, 3000)


@pytest.mark.parametrize("body", [b" " * (BODY_MAX + 1), gzip.compress(bytes(BODY_MAX + 1))])
async def test_a_body_above_the_limit_is_refused(tmp_path: Path, body: bytes) -> None:
    async with both(tmp_path) as (_, http):
        assert (await post(http, body, BEARER))[0] == 413


async def test_good_records_are_taken_and_bad_ones_named(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, http):
        bad = b'{"ts": "soon", "values": {"power": 1}}'
        status, answer = await post(http, b"[" + bad + b"," + GOOD + b"]", BEARER)
        assert (status, answer["accepted"], answer["rejected"][0]["record"]) == (200, 1, 1)
        status, answer = await post(http, bad, BEARER)
        assert (status, answer["accepted"]) == (400, 0)
        assert (await post(http, b"hello", BEARER))[0] == 400


async def test_a_full_disk_says_when_to_come_again() -> None:
    async with page(FullDisk()) as http, http.post("/api/push/any", data=GOOD) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0


STALLING = AUTHORIZED + b"Expect: 100-continue\r\nContent-Length: %d" % BODY_MAX


async def test_senders_that_stall_do_not_hold_up_the_others(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, http), contextlib.AsyncExitStack() as stalled:
        for _ in range(5):
            reader, writer = await stalled.enter_async_context(speaking(http, STALLING))
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            writer.write(b"{")
        async with asyncio.timeout(PATIENCE_S):
            assert (await post(http, GOOD, BEARER))[0] == 200


async def test_a_sender_that_goes_away_in_its_body_leaves_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as (_, http):
        async with speaking(http, STALLING) as (reader, writer):
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            writer.write(b"{")
        async with asyncio.timeout(PATIENCE_S):
            while not caplog.records:
                await asyncio.sleep(0.01)
    assert [record.message for record in caplog.records] == ["push refused"]


async def test_large_bodies_are_put_off_while_others_fill_the_memory_and_small_ones_are_not(tmp_path: Path) -> None:
    large, stalling = GOOD + b" " * SMALL, iter(range(1, 3 * HELD_MAX // BODY_MAX))
    async with both(tmp_path) as (_, http), asyncio.timeout(PATIENCE_S):
        async with contextlib.AsyncExitStack() as stalled:
            while (await post(http, large, BEARER))[0] != 503:
                assert next(stalling, None), "three times as many as may be held"
                _, writer = await stalled.enter_async_context(speaking(http, STALLING))
                writer.write(b" " * (BODY_MAX - 1))
                await writer.drain()
            assert (await post(http, GOOD, BEARER))[0] == 200
        while (await post(http, large, BEARER))[0] != 200:
            pass  # the gateway has yet to see that they are gone
