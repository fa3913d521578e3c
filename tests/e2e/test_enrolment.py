"""A gateway comes to a hub with a claim code, changes its secret while it reads, and is revoked: real processes."""

import asyncio
import json
import signal
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.hubfile import HubFile
from sync.hub.store.sqlite import SqliteStore
from tests.e2e.parts import ROOT, free_ports, part, signed_in, until
from tests.e2e.site import ended_alike
from tests.hub.enrolling import with_sites

SITE = """
site: {{name: Mill}}  # the installer's own words
page: {{port: {page}}}
buses:
  - {{name: one, tcp: "127.0.0.1:{one}", devices: [{{name: counter, profile: counter, poll_s: 0.2}}]}}
"""


class Operator:
    """A hub with one site, and a gateway beside it that no hub knows."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession, ports: dict[str, int]) -> None:
        self.folder = folder
        self.file = HubFile(folder / "site.yaml")
        self.hub = f"http://127.0.0.1:{ports['hub']}"
        self._page = f"http://127.0.0.1:{ports['page']}/api/v1/state"
        self._http = http

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        async with self._http.request(method, self.hub + path, json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def code(self, **body: str) -> str:
        return str((await self.ask("POST", "/api/v1/sites/mill/claims", body))["code"])

    async def enrol(self, code: str, *more: str) -> tuple[int, str]:
        """How `holdfast enrol` ended, and what it said."""
        words = ("enrol", code, "--hub", self.hub, "--config", "site.yaml", *more)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", *words, cwd=self.folder, env={"PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def state(self) -> dict[str, Any]:
        try:
            async with self._http.get(self._page) as answer:
                found: dict[str, Any] = await answer.json()
                return found
        except aiohttp.ClientError:  # it starts again just now
            return {"sync": {"hub": "", "connected": False, "backlog": 1}, "buffer": {"head": 0}}

    async def well(self, more: int = 3) -> None:
        """Return when so many more readings are taken, and the hub has what there is."""
        head = (await self.state())["buffer"]["head"]
        await until(lambda s: s["buffer"]["head"] >= head + more, self.state)
        await until(lambda s: s["sync"]["connected"] and not s["sync"]["backlog"], self.state)

    async def brings_the_rest(self) -> None:
        """Have the gateway run without devices, until the hub has everything."""
        before = self._events("buffer.db")
        config = (self.folder / "site.yaml").read_text().partition("buses:")[0]
        (self.folder / "site.yaml").write_text(config)
        async with part(self.folder, "run", "site.yaml"):
            await until(lambda s: s["sync"]["connected"] and not s["sync"]["backlog"], self.state)
            await until(lambda _: self._events("hub.db") == self._events("buffer.db") > before, self.state)

    def _events(self, file: str) -> int:
        with closing(sqlite3.connect(f"file:{self.folder / file}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM event").fetchone()[0])

    async def secret_changed(self) -> None:
        await self.ask("POST", "/api/v1/nodes/node/secret")
        assert (await self.ended())[0] == "done"

    async def ended(self) -> list[str]:
        """How the commands ended, the newest first, when all have."""

        async def states() -> dict[str, Any]:
            return {"": [one["state"] for one in await self.ask("GET", "/api/v1/nodes/node/commands")]}

        await until(lambda s: not {"queued", "taken"} & set(s[""]), states)
        return list((await states())[""])


@asynccontextmanager
async def hub_and_site(folder: Path) -> AsyncIterator[Operator]:
    ports = free_ports("page", "hub", "one")
    store = await SqliteStore.open(folder / "hub.db")
    await with_sites(store.sql)
    await store.close()
    simulated = {"name": "one", "port": ports["one"], "devices": [{"name": "counter", "counter": True}]}
    (folder / "simulator.yaml").write_text(json.dumps({"buses": [simulated]}))
    (folder / "hub.yaml").write_text(json.dumps({"port": ports["hub"], "store": "hub.db"}))
    (folder / "profiles").mkdir()
    (folder / "profiles/counter.yaml").write_text((ROOT / "tests/profiles/counter.yaml").read_text())
    (folder / "site.yaml").write_text(SITE.format(**ports))
    async with aiohttp.ClientSession() as http, part(folder, "sim", "simulator.yaml"), part(folder, "hub", "hub.yaml"):
        await signed_in(http, f"http://127.0.0.1:{ports['hub']}", folder)
        yield Operator(folder, http, ports)


@pytest.mark.P2
async def test_a_gateway_is_enrolled_and_its_readings_come_to_the_hub(tmp_path: Path) -> None:
    async with hub_and_site(tmp_path) as operator:
        before = (tmp_path / "site.yaml").read_text()
        status, said = await operator.enrol(await operator.code(node="node"))
        assert status == 0, said
        assert "node of the hub now, at the site mill" in said
        assert "Next: holdfast run" in said
        assert (tmp_path / "site.yaml").read_text() == before
        assert stat.S_IMODE((tmp_path / "site_hub.yaml").stat().st_mode) == 0o600
        async with part(tmp_path, "run", "site.yaml"):
            await operator.well()
            status, said = await operator.enrol("ACDE-FGHJ-KMNP-QRTU")
            assert status == 2
            assert "--again" in said
            status, said = await operator.enrol("ACDE-FGHJ-KMNP-QRTU", "--again")
            assert status == 1
            assert "the code is wrong, was used already, or has expired" in said
            await operator.well()  # what did not work changed nothing
        await operator.brings_the_rest()
    async with ended_alike(tmp_path):
        pass


async def test_a_gateway_that_runs_takes_its_enrolment_without_being_started_anew(tmp_path: Path) -> None:
    async with hub_and_site(tmp_path) as operator, part(tmp_path, "run", "site.yaml"):
        status, said = await operator.enrol(await operator.code(node="node"))
        assert status == 0, said
        assert "takes it within seconds" in said
        await operator.well()


@pytest.mark.P2
async def test_a_secret_changes_while_readings_are_taken_and_none_is_lost(tmp_path: Path) -> None:
    async with hub_and_site(tmp_path) as operator:
        await operator.enrol(await operator.code(node="node"))
        secrets = {operator.file.read()["secret"]}
        async with part(tmp_path, "run", "site.yaml") as gateway:
            for _ in range(3):
                await operator.well()
                await operator.secret_changed()
                secrets.add(operator.file.read()["secret"])
            await operator.well()
            (node,) = (await operator.ask("GET", "/api/v1/enrolled"))["items"]
            assert node["changing_until"] is None
            gateway.terminate()
            assert await gateway.wait() == 0
        log = (tmp_path / "run.log").read_text()
        assert "device offline" not in log  # it went on reading
        assert len(secrets) == 4
        await operator.brings_the_rest()
    async with ended_alike(tmp_path):
        pass


@pytest.mark.P2
async def test_a_gateway_killed_whenever_while_its_secret_changes_goes_on(tmp_path: Path) -> None:
    async with hub_and_site(tmp_path) as operator:
        await operator.enrol(await operator.code(node="node"))
        waiting = tmp_path / "site_hub.yaml.next"
        for _ in range(3):
            async with part(tmp_path, "run", "site.yaml") as gateway:
                await operator.ended()
                await operator.well()
                await operator.ask("POST", "/api/v1/nodes/node/secret")
                before = operator.file.read()["secret"]
                while not waiting.exists() and operator.file.read()["secret"] == before:
                    await asyncio.sleep(0)
                gateway.send_signal(signal.SIGKILL)
                await gateway.wait()
        await operator.brings_the_rest()
    async with ended_alike(tmp_path):
        pass


@pytest.mark.P11
async def test_a_revoked_gateway_is_refused_and_what_it_read_comes_when_it_is_restored(tmp_path: Path) -> None:
    async with hub_and_site(tmp_path) as operator:
        await operator.enrol(await operator.code(node="node"))
        async with part(tmp_path, "run", "site.yaml") as gateway:
            await operator.well()
            await operator.ask("POST", "/api/v1/nodes/node/revoke")
            await until(lambda s: not s["sync"]["connected"] and s["sync"]["backlog"] > 5, operator.state)
            await operator.ask("POST", "/api/v1/nodes/node/restore")
            gateway.terminate()
            await gateway.wait()
        await operator.brings_the_rest()
    async with ended_alike(tmp_path):
        pass
