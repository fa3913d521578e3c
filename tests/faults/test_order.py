"""P1 call by call: an acknowledgement is handed to the kernel when the flush that covers its reading has returned.

The whole gateway runs under strace, polls a device, and takes what is pushed over HTTP and MQTT. From the trace
follows what was on the disk for certain at the moment of each acknowledgement; its reading must be there.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import aiomqtt
import pytest

from drivers.simulator.site import parse_farm, serve
from gateway.app import load_profile
from gateway.core.credential import digest
from tests.faults.proof import Proof, prove
from tests.faults.traced import needs_strace, strace
from tests.gateway.ports import free_port
from tests.intake.broker import mosquitto
from tests.intake.parts import TOKEN

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30
PUSHES, MESSAGES = 12, 30
LAST = 4000  # the marker of the last message
SITE = """
site: {{name: Traced}}
page: {{port: {page}}}
buffer: {{commit_interval_s: 0.2}}
buses: [{{name: one, tcp: "127.0.0.1:{device}", devices: [{{name: counter, profile: counter, poll_s: 0.2}}]}}]
push: {{devices: [{{name: roof, token_sha256: {digest}}}, {{name: cellar, token_sha256: {digest}}}, {{name: well}}]}}
mqtt: {{host: 127.0.0.1, port: {broker}, client_id: traced, topics: [{{topic: "site/{{node}}", device: "{{node}}"}}]}}
"""
FARM = "buses: [{{name: one, port: {device}, devices: [{{name: counter, counter: true}}]}}]"
SOUND = ""
UNFLUSHED = """
import gateway.core.database as database
database.PRAGMAS = tuple(pragma.replace("FULL", "NORMAL") for pragma in database.PRAGMAS)
"""
HASTY = """
import asyncio
from gateway.buffer.buffer import Buffer
async def flushed(self):
    asyncio.ensure_future(self._commit())
Buffer.flushed = flushed
"""
BOASTING = """
import msgspec
from gateway.buffer.buffer import Buffer
state = Buffer.state
Buffer.state = lambda self: msgspec.structs.replace(state(self), head=self.head + self._taking.pending)
"""


@asynccontextmanager
async def traced_gateway(folder: Path, program: str) -> AsyncIterator[str]:
    """The address of its page; stopped with the block, and the trace is whole."""
    main = f"{program}\nfrom gateway.cli import main; main()"
    command = (sys.executable, "-c", main, "run", "--config", "site.yaml")
    tracer = await asyncio.create_subprocess_exec(
        *strace("trace"), *command, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert tracer.stdout is not None
    try:
        line = (await tracer.stdout.readline()).decode()
        yield "http" + line.partition("http")[2].strip()
    finally:
        for child in Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
        await tracer.wait()


async def push(address: str, device: str, first: int) -> None:
    async with aiohttp.ClientSession(address, headers={"X-Device-Token": TOKEN}) as http:
        for marker in range(first, first + PUSHES):
            async with http.post(f"/api/push/{device}", json={"marker": marker}) as answer:
                assert (await answer.json())["accepted"] == 1


async def publish(port: int, first: int) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for marker in range(first, first + MESSAGES):
            await client.publish("site/well", f'{{"marker": {marker}}}', qos=1)


async def ask(address: str) -> None:
    """Ask how many records are taken, until the last message was."""
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession(address) as http:
        shown = ""
        while f'"value":{LAST}.0' not in shown:
            async with http.get("/api/v1/state") as answer:
                shown = await answer.text()
            async with http.get("/metrics") as answer:
                await answer.read()


async def trace(folder: Path, program: str) -> Proof:
    """A gateway's work, all of it, and what its trace shows."""
    async with mosquitto(folder) as broker, asyncio.TaskGroup() as tasks:
        facts = {"page": free_port(), "device": free_port(), "broker": broker.port, "digest": digest(TOKEN)}
        (folder / "site.yaml").write_text(SITE.format(**facts))
        (folder / "profiles").mkdir()
        (folder / "profiles/counter.yaml").write_text((ROOT / "tests/profiles/counter.yaml").read_text())
        async with aiomqtt.Client("127.0.0.1", broker.port, identifier="traced", clean_session=False) as client:
            await client.subscribe("site/+", qos=1)  # the broker keeps what comes before the gateway is there
        farm = parse_farm(FARM.format(**facts), "farm")
        profiles = {"profiles": lambda name: load_profile(name, folder), "folder": folder}
        simulator = tasks.create_task(serve(farm, lambda where: None, **profiles))
        async with traced_gateway(folder, program) as address, asyncio.TaskGroup() as work:
            work.create_task(push(address, "roof", 1000))
            work.create_task(push(address, "cellar", 2000))
            work.create_task(publish(broker.port, LAST - MESSAGES + 1))
            work.create_task(ask(address))
        simulator.cancel()
    return prove(folder, folder / "trace")


@pytest.mark.P1
async def test_every_acknowledgement_comes_after_the_flush_of_its_reading(tmp_path: Path) -> None:
    needs_strace()
    proof = await trace(tmp_path, SOUND)
    assert (proof.pushes, proof.messages) == (2 * PUSHES, MESSAGES)
    assert proof.heads > 5
    assert proof.broken == []


@pytest.mark.parametrize(
    ("program", "at_fault"),
    [
        pytest.param(UNFLUSHED, {"pushes", "messages", "heads"}, id="commits that are not flushed"),
        pytest.param(HASTY, {"pushes", "messages"}, id="answers before the commit"),
        pytest.param(BOASTING, {"heads"}, id="a head that counts what is only queued"),
    ],
)
async def test_the_proof_finds(tmp_path: Path, program: str, at_fault: set[str]) -> None:
    """Else it would prove nothing."""
    needs_strace()
    assert {why.partition(":")[0] for why in (await trace(tmp_path, program)).broken} == at_fault
