"""Gateway and hub as real processes, with nothing between them but a broker that the command line made ready."""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

import aiohttp
import pytest

from gateway.core.credential import digest
from sync.hub.intake.provision import Management
from tests.e2e.parts import ROOT, free_ports, part, signed_in
from tests.sync.rabbit import ADMIN, Rabbit

SECRET = "the secret of mill-lane-4"
VHOST = "a%2Fplant"  # a/plant


async def provision(folder: Path, *arguments: str, lines: list[str]) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "hub", "amqp-provision", "--config", folder / "hub.yaml", *arguments,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=folder,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate("".join(f"{line}\n" for line in lines).encode())
    return process.returncode, out.decode(), err.decode()


def write(folder: Path, rabbit: Rabbit) -> str:
    """The two configurations; the hub's address."""
    ports = free_ports("hub", "page", "nobody")
    amqps = f"amqps://localhost:{rabbit.tls_port}/{VHOST}"
    (folder / "hub.yaml").write_text(f"""
store: hub.db
port: {ports["hub"]}
nodes: [{{id: mill-lane-4, secret_sha256: "{digest(SECRET)}"}}]
amqp:
  url: {amqps}
  username: our-hub
  password: of the hub
  management_url: {rabbit.management}
  tls_ca: {rabbit.tls}/ca.pem
""")
    (folder / "site.yaml").write_text(f"""
page: {{port: {ports["page"]}}}
hub:
  url: http://127.0.0.1:{ports["nobody"]}
  node_id: mill-lane-4
  secret: {SECRET}
  transport: amqp
  amqp: {{url: "{amqps}", tls_ca: {rabbit.tls}/ca.pem}}
""")
    return f"http://127.0.0.1:{ports['hub']}"


async def found(folder: Path, query: str, row: tuple[str, ...]) -> None:
    """Wait until the hub has `row`."""
    hub = sqlite3.connect(f"file:{folder}/hub.db?mode=ro", uri=True)
    try:
        async with asyncio.timeout(60):
            while row not in hub.execute(query).fetchall():
                await asyncio.sleep(0.05)
    finally:
        hub.close()


@pytest.mark.P11
async def test_provisioning_says_what_is_wrong_with_what_it_is_given(rabbit: Rabbit, tmp_path: Path) -> None:
    write(tmp_path, rabbit)
    for arguments, lines, words in (
        (("--node", "mill-lane-4"), ["guest", "another secret"], digest("another secret")),
        (("--node", "nobody"), ["guest"], "add it to nodes: first"),
        ((), ["wrong"], "not signed in"),
        (("--retire",), ["guest"], "--retire needs --node"),
    ):
        code, out, err = await provision(tmp_path, *arguments, lines=lines)
        assert code in (1, 2), (out, err)
        assert words in err
    (tmp_path / "hub.yaml").write_text("store: hub.db\n")
    code, _, err = await provision(tmp_path, lines=[])
    assert (code, "management_url" in err) == (2, True)


async def test_a_site_and_its_hub_reach_each_other_through_a_broker_alone(rabbit: Rabbit, tmp_path: Path) -> None:
    hub = write(tmp_path, rabbit)
    code, out, err = await provision(tmp_path, "--node", "mill-lane-4", lines=["guest", SECRET])
    assert code == 0, err
    assert out == f"{rabbit.management}: virtual host a/plant is ready; node mill-lane-4 is ready\n"
    try:
        async with part(tmp_path, "run", "site.yaml"), part(tmp_path, "hub", "hub.yaml"):
            await found(tmp_path, "SELECT node, kind FROM event", ("mill-lane-4", "gateway_started"))
            order = {"id": "c-1", "kind": "RESEND", "body": "all", "reason": "a test"}
            async with aiohttp.ClientSession() as session:
                await signed_in(session, hub, tmp_path)
                address = f"{hub}/api/v1/nodes/mill-lane-4/commands"
                async with session.post(address, json=order) as response:
                    assert response.status == 201, await response.text()
            await found(tmp_path, "SELECT id, state FROM command", ("c-1", "done"))
            await found(tmp_path, "SELECT node FROM heartbeat", ("mill-lane-4",))
        code, _, err = await provision(tmp_path, "--node", "mill-lane-4", "--retire", lines=["guest"])
        assert code == 0, err
    finally:
        async with Management(rabbit.management, *ADMIN) as management:
            await management.ask("DELETE", ["vhosts", "a/plant"])
            await management.ask("DELETE", ["users", "our-hub"])
