"""Gateway and hub as real processes, with nothing between them but a broker that the command line made ready."""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from gateway.core.credential import digest
from sync.hub.provision import Management
from tests.e2e.parts import ROOT, free_ports, part
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


def write(folder: Path, rabbit: Rabbit) -> None:
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


def events(folder: Path) -> list[tuple[str, str]]:
    if not (folder / "hub.db").exists():
        return []
    hub = sqlite3.connect(f"file:{folder}/hub.db?mode=ro", uri=True)
    try:
        return hub.execute("SELECT node, kind FROM event").fetchall()
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


async def test_a_site_reaches_its_hub_through_a_broker_alone(rabbit: Rabbit, tmp_path: Path) -> None:
    write(tmp_path, rabbit)
    code, out, err = await provision(tmp_path, "--node", "mill-lane-4", lines=["guest", SECRET])
    assert code == 0, err
    assert out == f"{rabbit.management}: virtual host a/plant is ready; node mill-lane-4 is ready\n"
    try:
        async with part(tmp_path, "run", "site.yaml"), part(tmp_path, "hub", "hub.yaml"), asyncio.timeout(60):
            while ("mill-lane-4", "gateway_started") not in events(tmp_path):
                await asyncio.sleep(0.05)
        code, _, err = await provision(tmp_path, "--node", "mill-lane-4", "--retire", lines=["guest"])
        assert code == 0, err
    finally:
        async with Management(rabbit.management, *ADMIN) as management:
            await management.ask("DELETE", ["vhosts", "a/plant"])
            await management.ask("DELETE", ["users", "our-hub"])
