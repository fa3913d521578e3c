"""The hub's commands on a real gateway: it restarts, is configured anew, and comes back from bad configurations."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.core.credential import digest
from tests.e2e.parts import ROOT, free_ports, part, signed_in, until

SECRET = "a secret of this test only"
SITE = """
site: {{name: {name}}}
page: {{port: {page}}}
hub: {{url: "http://127.0.0.1:{hub}", node_id: node, push_interval_s: 0.5, heartbeat_s: 30, long_poll: true}}
buses:
  - {{name: one, tcp: "127.0.0.1:{one}", devices: [{{name: counter, profile: counter, poll_s: 0.2}}]}}
"""
SIMULATOR = "buses: [{{name: one, port: {one}, devices: [{{name: counter, counter: true}}]}}]\n"
HUB = "{{port: {hub}, store: hub.db, nodes: [{{id: node, secret_sha256: {digest}}}]}}\n"


class Operator:
    """A site with its hub, as the operator has it."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession, ports: dict[str, int]) -> None:
        self.site = folder / "site.yaml"
        self.ports = ports
        self._http = http
        self._hub = f"http://127.0.0.1:{ports['hub']}/api/v1/nodes/node/commands"

    def text(self, **changed: object) -> str:
        return SITE.format(**{"name": "Old", **self.ports, **changed})

    async def order(self, command_id: str, kind: str, body: str = "") -> None:
        order = {"id": command_id, "kind": kind, "body": body}
        async with self._http.post(self._hub, json=order) as answer:
            assert answer.status == 201

    async def command(self, command_id: str) -> dict[str, Any]:
        async with self._http.get(self._hub) as answer:
            return next(one for one in await answer.json() if one["command"]["id"] == command_id)

    async def comes_to(self, command_id: str, state: str) -> str:
        """The words with which a command ends so."""
        await until(lambda c: c["state"] not in ("queued", "taken"), lambda: self.command(command_id))
        found = await self.command(command_id)
        assert found["state"] == state, found
        return str(found["words"])

    async def state(self) -> dict[str, Any]:
        try:
            async with self._http.get(f"http://127.0.0.1:{self.ports['page']}/api/v1/state") as answer:
                found: dict[str, Any] = await answer.json()
                return found
        except aiohttp.ClientError:  # it starts again just now
            return {"site": "", "sync": {"connected": False}, "devices": []}

    async def well(self) -> None:
        def is_well(state: dict[str, Any]) -> bool:
            return state["sync"]["connected"] and [d["presence"] for d in state["devices"]] == ["online"]

        await until(is_well, self.state)


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Operator]:
    ports = free_ports("page", "hub", "one")
    facts = {**ports, "digest": digest(SECRET)}
    (folder / "simulator.yaml").write_text(SIMULATOR.format(**facts))
    (folder / "hub.yaml").write_text(HUB.format(**facts))
    (folder / "site_local.yaml").write_text(f"hub: {{secret: {SECRET}}}\n")
    (folder / "profiles").mkdir()
    (folder / "profiles/counter.yaml").write_text((ROOT / "tests/profiles/counter.yaml").read_text())
    async with aiohttp.ClientSession() as http:
        operator = Operator(folder, http, ports)
        operator.site.write_text(operator.text())
        async with part(folder, "sim", "simulator.yaml"), part(folder, "hub", "hub.yaml"):
            await signed_in(http, f"http://127.0.0.1:{ports['hub']}", folder)
            yield operator


@pytest.mark.P8
async def test_a_gateway_restarts_and_takes_a_good_configuration_within_one_process(tmp_path: Path) -> None:
    async with fleet(tmp_path) as operator, part(tmp_path, "run", "site.yaml") as gateway:
        await operator.well()
        await operator.order("a", "RESTART")
        assert await operator.comes_to("a", "done") == "the gateway starts again"
        await operator.well()
        await operator.order("b", "CONFIGURE", operator.text(name="New"))
        assert await operator.comes_to("b", "done") == "all that worked before works"
        assert (await operator.state())["site"] == "New"
        gateway.terminate()
        assert await gateway.wait() == 0
        assert sorted(file.name for file in tmp_path.glob("site.yaml*")) == ["site.yaml", "site.yaml.before"]


Break = Callable[[Operator], str]


@pytest.mark.P9
@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda o: "site: {nam: x}\n", "did you mean name"),
        (lambda o: o.text() + "buffer: {path: other.db}\n", "what is not sent yet would stay behind"),
        (lambda o: o.text(page=o.ports["hub"]), "another program uses the port"),
    ],
    ids=["wrong", "another buffer", "does not run"],
)
async def test_a_configuration_that_cannot_run_changes_nothing_and_says_why(
    tmp_path: Path, broken: Break, why: str
) -> None:
    async with fleet(tmp_path) as operator, part(tmp_path, "run", "site.yaml"):
        await operator.well()
        await operator.order("a", "CONFIGURE", broken(operator))
        assert why in await operator.comes_to("a", "failed")
        await operator.well()
        assert operator.site.read_text() == operator.text()


@pytest.mark.P9
async def test_a_gateway_killed_while_a_configuration_is_on_trial_starts_with_the_old_one(tmp_path: Path) -> None:
    async with fleet(tmp_path) as operator:
        async with part(tmp_path, "run", "site.yaml") as gateway:
            await operator.well()
            await operator.order("a", "CONFIGURE", operator.text(name="Lost", hub=free_ports("nobody")["nobody"]))
            await until(lambda state: state["site"] == "Lost", operator.state)
            gateway.send_signal(signal.SIGKILL)
            await gateway.wait()
        async with part(tmp_path, "run", "site.yaml"):
            assert "stopped, or crashed" in await operator.comes_to("a", "failed")
            assert (await operator.state())["site"] == "Old"


@pytest.mark.P8
async def test_whenever_a_gateway_is_killed_each_command_is_executed_at_most_once_and_its_end_is_known(
    tmp_path: Path,
) -> None:
    async with fleet(tmp_path) as operator:
        ids = [f"c{number}" for number in range(40)]
        for command_id in ids:
            await operator.order(command_id, "RESEND", "all")
        for kill in range(1, 6):
            async with part(tmp_path, "run", "site.yaml") as gateway:
                while len(begun(tmp_path)) < 6 * kill:
                    await asyncio.sleep(0)
                gateway.send_signal(signal.SIGKILL)
                await gateway.wait()
        async with part(tmp_path, "run", "site.yaml"):
            for command_id in ids:
                await until(lambda c: c["state"] in ("done", "unknown"), partial(operator.command, command_id))
    assert len(begun(tmp_path)) == len(set(begun(tmp_path)))
    assert set(begun(tmp_path)) <= set(ids)


def begun(folder: Path) -> list[str]:
    """The commands that were executed, by the log."""
    lines = (folder / "run.log").read_text().splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("info command id=") and line.count("'") > 1]
