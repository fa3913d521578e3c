"""A real gateway process with a simulated device that counts its answers: what was served, and what is kept of it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.buffer.buffer import Buffer
from gateway.core.model import Event
from gateway.core.span import Span
from tests.e2e.parts import ROOT, free_ports, part
from tests.stored import everything

PATIENCE_S = 60
SITE = """
site: {{name: Test site}}
page: {{port: {page}}}
buffer: {{path: "{buffer}", commit_interval_s: 0.2, budget_mb: 2}}
buses:
  - {{name: one, tcp: "127.0.0.1:{one}", devices: [{{name: counter, profile: counter, poll_s: 0.1}}]}}
"""
SIMULATOR = "{{log: served.jsonl, buses: [{{name: one, port: {one}, devices: [{{name: counter, counter: true}}]}}]}}"


@dataclass
class Site:
    """The page's address, the process and the places."""

    folder: Path
    buffer: Path
    url: str
    http: aiohttp.ClientSession
    process: asyncio.subprocess.Process

    async def get(self, path: str) -> Any:
        async with self.http.get(self.url + path) as answer:
            return await answer.json()

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.get("/api/v1/state")
        return found

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The state, as soon as `condition` holds of it."""
        state: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition(state := await self.state()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"did not come about: {state['buffer']}, {self.log()}") from None
        return state

    async def polls_go_on(self) -> None:
        """The device is shown with ever newer values."""
        newest = (await self.state())["devices"][0]["ts"]
        await self.until(lambda s: s["devices"][0]["ts"] > newest + 300 and s["devices"][0]["presence"] == "online")

    async def stop(self) -> int:
        self.process.terminate()
        return await self.process.wait()

    def log(self) -> str:
        return (self.folder / "run.log").read_text()[-3000:]


def lay_out(folder: Path, buffer: Path) -> int:
    """The files of a site whose buffer is `buffer`; the page's port."""
    ports = free_ports("page", "one")
    (folder / "site.yaml").write_text(SITE.format(**ports, buffer=buffer))
    (folder / "simulator.yaml").write_text(SIMULATOR.format(**ports))
    (folder / "profiles").mkdir(exist_ok=True)
    (folder / "profiles/counter.yaml").write_text((ROOT / "tests/profiles/counter.yaml").read_text())
    return ports["page"]


@asynccontextmanager
async def gateway(folder: Path, buffer: Path) -> AsyncIterator[Site]:
    """The gateway with its buffer at `buffer`, polling; both processes are ended with the block."""
    page = lay_out(folder, buffer)
    async with (
        aiohttp.ClientSession() as http,
        part(folder, "sim", "simulator.yaml"),
        part(folder, "run", "site.yaml") as process,
    ):
        site = Site(folder, buffer, f"http://127.0.0.1:{page}", http, process)
        await site.until(lambda s: s["devices"][0]["presence"] == "online")
        yield site
        with suppress(ProcessLookupError):
            await site.stop()


async def run_to_its_end(folder: Path) -> tuple[int, str]:
    """Start the site's gateway once more: its exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "run", "--config", "site.yaml",
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = (await process.stdout.read()).decode()
    return await process.wait(), said


async def kept(path: Path) -> tuple[list[int], list[Event]]:
    """What the buffer has, when its gateway has ended: the counts of the first group in order, and the events."""
    buffer = await Buffer.open(path)
    try:
        records = [r for r in await everything(buffer) if buffer.layouts[r.layout_id].group == "live"]
        counts = [int(str(buffer.layouts[r.layout_id].rows.unpack(r.row)[0])) for r in records]
        return counts, await buffer.read_events(Span(0, 1 << 40), 10_000)
    finally:
        await buffer.close()


def served(folder: Path) -> list[int]:
    """The counts that the simulator has given, of the first group."""
    lines = (json.loads(line) for line in (folder / "served.jsonl").read_text().splitlines())
    return [line["words"][0] << 16 | line["words"][1] for line in lines if line["address"] == 0]


async def nothing_is_missing(site: Site) -> list[Event]:
    """Stop the gateway: all that the device gave until now is kept, once and in order. The events."""
    given = served(site.folder)[-1]
    assert await site.stop() == 0, site.log()
    counts, events = await kept(site.buffer)
    assert counts == list(range(counts[0], counts[-1] + 1))
    assert counts[-1] >= given
    return events
