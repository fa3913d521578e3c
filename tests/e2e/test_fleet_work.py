"""Configurations and a roll-out on real gateways of a real hub."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.core.credential import digest
from gateway.core.redacting import KEPT
from tests.e2e.parts import free_ports, part, signed_in, until

SECRET = "a secret of this test only"
OTHER = "an earlier secret of this test"
SITE = """# an old {other}
page: {{port: {page}}}
site: {{name: {name}}}
mqtt: {{host: 127.0.0.1, port: {mqtt}, password: {other}, topics: [{{topic: a, device: b}}]}}
hub: {{url: "http://127.0.0.1:{hub}", node_id: {name}, push_interval_s: 0.5, heartbeat_s: 30, long_poll: true}}
"""
HUB = "{{port: {hub}, store: hub.db, nodes: [{nodes}]}}\n"
OPEN_TO_ALL = "page: {host: 0.0.0.0}\n"  # wants a password, or that the installer says `open`


class Operator:
    """A hub with gateways, as the operator has it."""

    def __init__(self, http: aiohttp.ClientSession, ports: dict[str, int]) -> None:
        self.ports = ports
        self._http = http
        self._url = f"http://127.0.0.1:{ports['hub']}/api/v1"

    async def get(self, path: str) -> dict[str, Any]:
        async with self._http.get(f"{self._url}/{path}") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def send(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._http.request(method, f"{self._url}/{path}", json=body) as answer:
            found: dict[str, Any] = await answer.json()
            assert answer.status < 300, found
            return found

    async def configuration(self, node: str) -> dict[str, Any]:
        return await self.get(f"nodes/{node}/configuration")

    async def reported(self, node: str, name: str) -> dict[str, Any]:
        """The configuration of `node`, as soon as it tells that its site is called so."""

        def tells(found: dict[str, Any]) -> bool:
            values = (found.get("reported") or {}).get("values", ())
            return {"key": "site.name", "value": name, "layer": "site"} in values

        await until(tells, lambda: self.configuration(node))
        return await self.configuration(node)

    async def wants(self, node: str, text: str, state: str) -> dict[str, Any]:
        """Order a configuration; how it is when it has come to `state`."""
        await self.send("PUT", f"nodes/{node}/configuration", {"text": text})
        await until(lambda f: f["desired"]["state"] not in ("pending", "on trial"), lambda: self.configuration(node))
        found = await self.configuration(node)
        assert found["desired"]["state"] == state, found["desired"]
        return found


@asynccontextmanager
async def fleet(folder: Path, **local: str) -> AsyncIterator[Operator]:
    """A gateway by each name, with what its installer wrote."""
    ports = free_ports("hub", "mqtt", *local)
    nodes = ", ".join(f"{{id: {name}, secret_sha256: {digest(SECRET)}}}" for name in local)
    (folder / "hub.yaml").write_text(HUB.format(hub=ports["hub"], nodes=nodes))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await stack.enter_async_context(part(folder, "hub", "hub.yaml"))
        await signed_in(http, f"http://127.0.0.1:{ports['hub']}", folder)
        for name, text in local.items():
            (folder / name).mkdir()
            facts = {"hub": ports["hub"], "mqtt": ports["mqtt"], "page": ports[name], "other": OTHER, "name": name}
            (folder / name / "site.yaml").write_text(SITE.format(**facts))
            (folder / name / "site_local.yaml").write_text(f"hub: {{secret: {SECRET}}}\n{text}")
            await stack.enter_async_context(part(folder / name, "run", "site.yaml"))
        yield Operator(http, ports)


@pytest.mark.P9
@pytest.mark.P11
async def test_a_gateway_tells_its_configuration_without_secrets_and_takes_a_good_one_and_no_bad_one(
    tmp_path: Path,
) -> None:
    async with fleet(tmp_path, mill="") as operator:
        first = await operator.reported("mill", "mill")
        values = {one["key"]: (one["value"], one["layer"]) for one in first["reported"]["values"]}
        assert values["hub.secret"] == (KEPT, "local")
        assert values["mqtt.password"] == (KEPT, "site")
        assert values["hub.heartbeat_s"] == (30, "site")
        assert values["buffer.keep_days"] == (400, "default")
        good = first["reported"]["text"].replace("name: mill", "name: New")
        assert (await operator.wants("mill", good, "applied"))["desired"]["words"] == "all that worked before works"
        second = await operator.reported("mill", "New")
        assert (second["differs"], second["drift"]) == (False, False)
        assert OTHER in (tmp_path / "mill/site.yaml").read_text(), "the site has its secret again"
        wrong = await operator.wants("mill", good.replace("name: New", "nam: Bad"), "rolled back")
        assert "did you mean name" in wrong["desired"]["words"]
        taken = good.replace(f"port: {operator.ports['mill']}", f"port: {operator.ports['hub']}")
        bad = await operator.wants("mill", taken, "rolled back")
        assert bad["desired"]["words"].startswith("the configuration before it is back: ")
        assert "another program uses the port" in bad["desired"]["words"]
        assert bad["differs"]
        assert [one["state"] for one in bad["history"]] == ["rolled back", "rolled back", "superseded"]
        assert str(operator.ports["mill"]) in (tmp_path / "mill/site.yaml").read_text()
    hub = b"".join(file.read_bytes() for file in tmp_path.glob("hub*") if file.is_file())
    assert b"heartbeat_s" in hub
    for secret in (SECRET, OTHER):
        assert secret.encode() not in hub, "neither in its store nor in its log"


@pytest.mark.P9
async def test_a_roll_out_stops_by_itself_at_the_gateway_that_does_not_take_it(tmp_path: Path) -> None:
    async with fleet(tmp_path, a="page: {open: true}\n", b="", c="page: {open: true}\n") as operator:
        for name in "abc":
            await operator.reported(name, name)
        order = {"kind": "configure", "patch": OPEN_TO_ALL, "waves": ["1", "2"], "soak_s": 0, "nodes": ["a", "b", "c"]}
        made = await operator.send("POST", "rollouts", order)
        path = f"rollouts/{made['rollout']['id']}"
        await until(lambda f: f["rollout"]["state"] != "running", lambda: operator.get(path))
        found = await operator.get(path)
        assert found["rollout"]["state"] == "stopped"
        assert "b: it failed" in found["rollout"]["why"]
        assert "no password is set" in found["rollout"]["why"]
        nodes = {one["node"]: one["state"] for one in (await operator.get(f"{path}/nodes"))["items"]}
        assert nodes == {"a": "done", "b": "failed", "c": None}
        texts = {name: (tmp_path / name / "site.yaml").read_text() for name in "abc"}
        assert [("0.0.0.0" in text) for text in texts.values()] == [True, False, False]
        undone = await operator.send("POST", f"{path}/undo", {})
        await until(
            lambda f: f["rollout"]["state"] != "running", lambda: operator.get(f"rollouts/{undone['rollout']['id']}")
        )
        assert "0.0.0.0" not in (tmp_path / "a/site.yaml").read_text()
