"""What the hub has to say reaches a node that waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from gateway.core.errors import StorageError
from gateway.core.model import Command
from gateway.running import serve
from sync import wire
from sync.edge.https import HttpsTransport
from sync.hub.app import OPEN_PATHS
from sync.hub.intake.door import Door
from sync.hub.intake.ingest import Ingest
from sync.hub.intake.longpoll import LongPoll
from sync.hub.store.sqlite import SqliteStore
from tests.gateway.ports import free_port
from tests.sync.parts import SECRET, Eager, Listed

ME = {wire.NODE_ID: "node", wire.NODE_SECRET: SECRET, wire.CURSOR: "0123456789abcdef:0-0"}
RESTART = Command("one", "RESTART", 1 << 50)


class Desk:
    """Meets `Commands`."""

    def __init__(self) -> None:
        self.commands: asyncio.Queue[Command] = asyncio.Queue()
        self.waits: list[tuple[str, float]] = []
        self.failing = 0

    async def waiting(self, node: str, wait_s: float) -> list[Command]:
        self.waits.append((node, wait_s))
        if self.failing:
            self.failing -= 1
            raise StorageError("the disk is full")
        return [await self.commands.get()]


@asynccontextmanager
async def hub(folder: Path) -> AsyncIterator[tuple[Desk, str]]:
    desk, store = Desk(), await SqliteStore.open(folder / "hub.db")
    secrets, app = Listed({"node": digest(SECRET)}), web.Application()
    app.router.add_get(wire.COMMANDS_PATH, LongPoll(desk, secrets, SystemClock(), retry_s=(0, 0)).handle)
    app.router.add_post(wire.PATH, Ingest(Door(store, SystemClock()), secrets, SystemClock()).handle)
    async with serve(app, "127.0.0.1", free_port(), unpack=False) as address:
        yield desk, address
    await store.close()


@asynccontextmanager
async def listening(address: str) -> AsyncIterator[asyncio.Queue[Command]]:
    heard: asyncio.Queue[Command] = asyncio.Queue()

    async def hear(answer: wire.Answer) -> None:
        for command in answer.commands:
            await heard.put(command)

    transport = HttpsTransport(address, "node", SECRET, long_poll=True, random=Eager())
    task = asyncio.create_task(transport.run(hear))
    yield heard
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await transport.close()


@pytest.mark.P8
async def test_a_command_comes_as_soon_as_there_is_one_and_batches_do_not_wait_for_it(tmp_path: Path) -> None:
    async with hub(tmp_path) as (desk, address), listening(address) as heard:
        while not desk.waits:
            await asyncio.sleep(0)
        transport = HttpsTransport(address, "node", SECRET, long_poll=True, random=Eager())
        await transport.push("records", wire.Cursor("0123456789abcdef", 0, 0), b"\x81\xa5packs\x90")
        await transport.close()
        assert heard.empty()
        desk.commands.put_nowait(RESTART)
        assert await heard.get() == RESTART
        assert desk.waits == [("node", 50)]


async def test_a_hub_that_fails_is_asked_again(tmp_path: Path) -> None:
    async with hub(tmp_path) as (desk, address):
        desk.failing = 2
        desk.commands.put_nowait(RESTART)
        async with listening(address) as heard:
            assert await heard.get() == RESTART
        assert len(desk.waits) == 3


async def test_a_command_that_could_not_be_kept_is_heard_again(tmp_path: Path) -> None:
    heard: list[wire.Answer] = []

    async def hear(answer: wire.Answer) -> None:
        heard.append(answer)
        if len(heard) == 1:
            raise StorageError("the disk is full")

    async with hub(tmp_path) as (desk, address):
        transport = HttpsTransport(address, "node", SECRET, long_poll=True, random=Eager())
        task = asyncio.create_task(transport.run(hear))
        for _ in range(2):
            desk.commands.put_nowait(RESTART)
        while len(heard) < 2:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await transport.close()
    assert [answer.commands for answer in heard] == [[RESTART], [RESTART]]


@pytest.mark.P11
async def test_nobody_hears_a_nodes_commands_without_its_secret(tmp_path: Path) -> None:
    assert wire.COMMANDS_PATH in OPEN_PATHS, "the node has no password of the page's"
    async with hub(tmp_path) as (desk, address), aiohttp.ClientSession(address) as http:
        for spoiled in ({wire.NODE_SECRET: "wrong"}, {wire.NODE_ID: "other"}, {wire.NODE_SECRET: ""}):
            async with http.get(wire.COMMANDS_PATH, headers=ME | spoiled) as response:
                assert response.status == 401
        assert desk.waits == []


async def test_an_answer_repeats_the_cursor_so_that_an_old_one_is_known(tmp_path: Path) -> None:
    async with hub(tmp_path) as (desk, address), aiohttp.ClientSession(address) as http:
        desk.commands.put_nowait(RESTART)
        async with http.get(wire.COMMANDS_PATH, headers=ME) as response:
            assert response.headers["Cache-Control"] == "no-store"
            assert (await response.json())["cursor"] == ME[wire.CURSOR]


@pytest.mark.parametrize("wait", ["", "-1", "soon", "121", "1e3", "9" * 5000, "\u00b2"])
async def test_a_wait_that_is_no_number_of_seconds_is_refused(tmp_path: Path, wait: str) -> None:
    async with hub(tmp_path) as (desk, address), aiohttp.ClientSession(address) as http:
        async with http.get(wire.COMMANDS_PATH, params={"wait": wait}, headers=ME) as response:
            assert response.status == 400
        assert desk.waits == []


@pytest.mark.P8
async def test_a_command_goes_to_the_newest_connection_of_a_node(tmp_path: Path) -> None:
    async with hub(tmp_path) as (desk, address), aiohttp.ClientSession(address) as http:
        waits: list[asyncio.Task[aiohttp.ClientResponse]] = []
        for _ in range(5):  # a gateway that is started again and again leaves such behind
            waits.append(asyncio.create_task(http.get(wire.COMMANDS_PATH, headers=ME)))
            while len(desk.waits) < len(waits):
                await asyncio.sleep(0)
        answers = [await (await wait).json() for wait in waits[:-1]]
        desk.commands.put_nowait(RESTART)
        answers.append(await (await waits[-1]).json())
    assert ["commands" in answer for answer in answers] == [False] * 4 + [True]
