"""A backlog of a week, and everything about the gateway changes: each reading still arrives once."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from gateway.core.model import Event, Record
from sync.hub.sqlite import SqliteStore
from tests.e2e.parts import ROOT, free_ports, part, until
from tests.faults.equality import assert_same
from tests.faults.impostors import Few
from tests.faults.proxy import WELL, Fault, Proxy
from tests.faults.releases import BEFORE_SYNC, unpacked
from tests.values import meter

SECRET = "a secret of this test only"
WEEK_S = 7 * 86400
EVERY_S = 10
HALF_A_DAY = 43200 // EVERY_S


class Site:
    """The folder of a site: its files, its gateway at times, its hub behind a proxy."""

    def __init__(self, folder: Path, proxy: Proxy) -> None:
        self.folder = folder
        self.proxy = proxy
        self.ports = free_ports("page", "one", "broker")
        self.config: dict[str, Any] = {
            "site": {"name": "Test site"},
            "page": {"port": self.ports["page"]},
            "hub": {"url": proxy.url, "node_id": "node", "secret": SECRET, "push_interval_s": 0.5},
            "buses": [self.bus(self.counter("counter"))],
        }
        simulated = [{"name": "one", "port": self.ports["one"], "devices": [{"name": "counter", "counter": True}]}]
        self.write("simulator", {"buses": simulated})
        (folder / "profiles").mkdir()
        self.profile = (ROOT / "tests/profiles/counter.yaml").read_text()
        (folder / "profiles/counter.yaml").write_text(self.profile)

    def write(self, name: str, content: dict[str, Any]) -> None:
        (self.folder / f"{name}.yaml").write_text(json.dumps(content))  # JSON is YAML

    def bus(self, *devices: dict[str, Any]) -> dict[str, Any]:
        return {"name": "one", "tcp": f"127.0.0.1:{self.ports['one']}", "devices": devices}

    @staticmethod
    def counter(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "profile": "counter", "poll_s": 0.2, **more}

    @asynccontextmanager
    async def gateway(self, release: Path = ROOT) -> AsyncIterator["Running"]:
        """The gateway with the configuration as it is now, until it is stopped."""
        self.write("site", self.config)
        async with (
            part(self.folder, "run", "site.yaml", PYTHONPATH=str(release)) as process,
            aiohttp.ClientSession() as http,
        ):
            running = Running(http, f"http://127.0.0.1:{self.ports['page']}/api/v1/state")
            yield running
            process.terminate()
            assert await process.wait() == 0, (self.folder / "run.log").read_text()[-3000:]

    async def sends_a_little(self, release: Path = ROOT) -> None:
        """Start the gateway; it polls, and the hub takes some of the backlog, not all. Stop it."""
        few = Few(2)
        await self.proxy.turn(Fault(impostor=few))
        async with self.gateway(release) as running:
            await running.polls(5)
            await until(lambda _: not few.left, running.state)
            assert (await running.state())["sync"]["backlog"] > 1000, "the backlog was to outlive this"


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


async def a_week(path: Path) -> None:
    """A buffer with a week of two meters; five days of it are sealed, half a day each."""
    buffer, random = await Buffer.open(path), Random(1)
    begin = SystemClock().wall_ms() - (WEEK_S + 600) * 1000
    for first in range(0, WEEK_S // EVERY_S, HALF_A_DAY):
        for name in ("east", "west"):
            layout = meter(name)
            rows = [layout.rows.pack([random.randrange(1 << 32), random.randrange(1 << 16)]) for _ in range(HALF_A_DAY)]
            times = range(begin + first * EVERY_S * 1000, begin + (first + HALF_A_DAY) * EVERY_S * 1000, EVERY_S * 1000)
            buffer.put(layout, [Record(layout.id, ts, row) for ts, row in zip(times, rows, strict=True)])
        buffer.put_event(Event(begin + first * EVERY_S * 1000, "noted", "east", str(first)))
        await buffer.flushed()
        if first < 5 * 86400 // EVERY_S:
            await buffer.sealing.seal()
    assert buffer.head == 2 * WEEK_S // EVERY_S
    await buffer.close()


def events(store: Path) -> int:
    """How many are in a file that others have open."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM event").fetchone()[0])


@asynccontextmanager
async def hub(folder: Path, release: Path = ROOT) -> AsyncIterator[tuple[str, int]]:
    port = free_ports("hub")["hub"]
    nodes = [{"id": "node", "secret_sha256": digest(SECRET)}]
    (folder / "hub.yaml").write_text(json.dumps({"port": port, "store": "hub.db", "nodes": nodes}))
    async with part(folder, "hub", "hub.yaml", PYTHONPATH=str(release)):
        yield "127.0.0.1", port


@pytest.mark.P1
@pytest.mark.P2
async def test_a_backlog_outlives_whatever_changes_about_the_gateway(tmp_path: Path) -> None:
    old = unpacked(BEFORE_SYNC, tmp_path / "old release")
    await a_week(tmp_path / "buffer.db")
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(("127.0.0.1", 9)))
        elsewhere = await stack.enter_async_context(Proxy(("127.0.0.1", 9)))
        site = Site(tmp_path, proxy)
        await stack.enter_async_context(part(tmp_path, "sim", "simulator.yaml"))
        async with site.gateway() as running:  # no hub yet
            await running.polls(5)
        async with hub(tmp_path, old) as proxy.hub:
            await site.sends_a_little(old)  # the release before, on this one's file
            await site.sends_a_little()
        proxy.hub = elsewhere.hub = await stack.enter_async_context(hub(tmp_path))

        site.config["site"]["name"] = "Another name"
        site.config["buffer"] = {"budget_mb": 50, "commit_interval_s": 0.5}
        site.config["buses"] = [site.bus(site.counter("renamed", role="load"))]
        await site.sends_a_little()

        (tmp_path / "profiles/counter.yaml").write_text(site.profile.replace("key: half,", "key: share, scale: 0.1,"))
        await site.sends_a_little()

        site.proxy = elsewhere
        site.config["hub"]["url"] = elsewhere.url
        await site.sends_a_little()

        broker = {"url": f"amqp://127.0.0.1:{site.ports['broker']}/plant"}
        https = dict(site.config["hub"])
        site.config["hub"] |= {"transport": "auto", "amqp": broker}  # nobody listens there
        await site.sends_a_little()

        site.config["hub"] = https
        await site.sends_a_little(old)
        await elsewhere.turn(WELL)
        async with site.gateway() as running:
            await running.polls(5)
            site.config["buses"] = []
        before = events(tmp_path / "buffer.db")
        async with site.gateway() as running:
            await until(lambda s: s["sync"]["connected"] and s["sync"]["backlog"] == 0, running.state)
            await until(lambda _: events(tmp_path / "hub.db") == events(tmp_path / "buffer.db") > before, running.state)
    buffer, store = await Buffer.open(tmp_path / "buffer.db"), await SqliteStore.open(tmp_path / "hub.db")
    names = {layout.device for layout in await store.layouts("node")}
    assert {"east", "west", "counter", "renamed"} <= names
    await assert_same(buffer, store)
    await buffer.close()
    await store.close()
