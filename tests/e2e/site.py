"""A site with one simulated counter, and a hub behind a proxy: real processes, whose every setting a test changes."""

import json
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp

from gateway.buffer.buffer import Buffer
from gateway.core.credential import digest
from sync.hub.store.sqlite import SqliteStore
from tests.e2e.parts import ROOT, free_ports, part, until
from tests.faults.equality import assert_same

SECRET = "a secret of this test only"


class Running:
    """A gateway that runs."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def state(self) -> dict[str, Any]:
        async with self._http.get(self._url) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def polls(self, more: int) -> None:
        """Return when so many more records are on the disk."""
        head = (await self.state())["buffer"]["head"]
        await until(lambda s: s["buffer"]["head"] >= head + more, self.state)

    async def reaches_the_hub(self) -> None:
        """Return when the hub has acknowledged what is being polled just now."""
        await self.polls(1)
        await until(lambda s: s["sync"]["connected"] and not s["sync"]["backlog"], self.state)


class Site:
    """The folder of a site, and the gateway and the simulator that run there at times."""

    def __init__(self, folder: Path, url: str, **hub: Any) -> None:
        """`url`, and what else is under `hub:` in the configuration."""
        self.folder = folder
        self.socket: Callable[[Any], socket.socket] | None = None  # how to reach the page, where not as usual
        self.ports = free_ports("page", "one", "broker")
        self.config: dict[str, Any] = {
            "site": {"name": "Test site"},
            "page": {"port": self.ports["page"]},
            "hub": {"url": url, "node_id": "node", "secret": SECRET, "push_interval_s": 0.5, **hub},
            "buses": [self.bus(self.counter("counter"))],
        }
        self.profile = (ROOT / "tests/profiles/counter.yaml").read_text()
        (folder / "profiles").mkdir()
        (folder / "profiles/counter.yaml").write_text(self.profile)
        simulated = {"name": "one", "port": self.ports["one"], "devices": [{"name": "counter", "counter": True}]}
        (folder / "simulator.yaml").write_text(json.dumps({"buses": [simulated]}))  # JSON is YAML

    def bus(self, *devices: dict[str, Any]) -> dict[str, Any]:
        return {"name": "one", "tcp": f"127.0.0.1:{self.ports['one']}", "devices": devices}

    @staticmethod
    def counter(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "profile": "counter", "poll_s": 0.2, **more}

    @asynccontextmanager
    async def gateway(self, *before: str, killed: bool = False, **environment: str) -> AsyncIterator[Running]:
        """The gateway with the configuration as it is now; stopped, or killed, with the block. See `part`."""
        (self.folder / "site.yaml").write_text(json.dumps(self.config))
        async with (
            part(self.folder, "run", "site.yaml", *before, **environment) as process,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=self.socket)) as http,
        ):
            yield Running(http, f"http://127.0.0.1:{self.ports['page']}/api/v1/state")
            if killed:
                process.kill()
            else:
                process.terminate()
            assert await process.wait() in (0, -signal.SIGKILL), (self.folder / "run.log").read_text()[-3000:]

    async def brings_the_rest(self, *before_it: str) -> None:
        """Have the gateway run without devices, until the hub has everything."""
        self.config["buses"] = []
        before = self._events("buffer.db")
        async with self.gateway(*before_it) as running:
            await until(lambda s: s["sync"]["connected"] and not s["sync"]["backlog"], running.state)
            await until(lambda _: self._events("hub.db") == self._events("buffer.db") > before, running.state)

    def _events(self, file: str) -> int:
        """How many are in a file that others have open."""
        with closing(sqlite3.connect(f"file:{self.folder / file}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM event").fetchone()[0])


@asynccontextmanager
async def hub(
    folder: Path, *before: str, host: str = "127.0.0.1", killed: bool = False, **environment: str
) -> AsyncIterator[tuple[str, int]]:
    """A hub's process, for as long as the block; where it listens. See `part`."""
    port = free_ports("hub")["hub"]
    nodes = [{"id": "node", "secret_sha256": digest(SECRET)}]
    config = {"host": host, "port": port, "store": "hub.db", "nodes": nodes}
    (folder / "hub.yaml").write_text(json.dumps(config))
    async with part(folder, "hub", "hub.yaml", *before, **environment) as process:
        yield host, port
        if killed:
            process.kill()
            await process.wait()


@asynccontextmanager
async def ended_alike(folder: Path) -> AsyncIterator[tuple[Buffer, SqliteStore]]:
    """The files of both ends, which hold the same; their processes have ended."""
    buffer, store = await Buffer.open(folder / "buffer.db"), await SqliteStore.open(folder / "hub.db")
    try:
        await assert_same(buffer, store)
        yield buffer, store
    finally:
        await buffer.close()
        await store.close()
