"""The gateway and the hub as they are delivered, on the reference work: their files and their processes."""

import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.ports import listening
from bench.process import ROOT, Child, python, running
from bench.work import DEVICES, POLL_S, PUSH_S

CLI = "gateway.cli"
NODE, SECRET = "bench", "a secret of the benchmark's own"
PROFILE = ROOT / "bench" / "profiles" / "farm.yaml"


@asynccontextmanager
async def hub(state: Path, port: int, store: str = "hub.db", nodes: Sequence[str] = (NODE,)) -> AsyncIterator[Child]:
    """The hub, listening on `port`; its files are in `state`, and its store, if that is no database's address."""
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "store": store,
        "nodes": [{"id": node, "secret_sha256": hashlib.sha256(SECRET.encode()).hexdigest()} for node in nodes],
    }
    async with running("hub", python(CLI, "hub", "--config", _written(state / "hub.yaml", settings)), state) as child:
        await listening(child, port)
        yield child


@asynccontextmanager
async def gateway(
    state: Path, buffer: Path, farm_port: int, page_port: int, hub_port: int | None, *,
    devices: int = DEVICES, core: int | None = None,
) -> AsyncIterator[Child]:  # fmt: skip
    """The gateway, its page listening on `page_port`; its files are in `state`, its buffer is `buffer`.

    `hub_port` None: it has no hub. `core`: the one processor that it may use.
    """
    (state / "profiles").mkdir()
    shutil.copy(PROFILE, state / "profiles")
    settings = {
        "site": {"name": NODE},
        "buffer": {"path": str(buffer)},
        "page": {"host": "127.0.0.1", "port": page_port},
        "buses": [_bus(index, farm_port + index) for index in range(devices)],
    }
    if hub_port is not None:
        url = f"http://127.0.0.1:{hub_port}"
        settings["hub"] = {"url": url, "node_id": NODE, "secret": SECRET, "push_interval_s": PUSH_S}
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    command = [*pinned, *python(CLI, "run", "--config", _written(state / "site.yaml", settings))]
    async with running("gateway", command, state) as child:
        await listening(child, page_port)
        yield child


def _bus(index: int, port: int) -> dict[str, Any]:
    device = {"name": f"d{index}", "profile": PROFILE.stem, "poll_s": POLL_S, "role": "meter"}
    return {"name": f"b{index}", "tcp": f"127.0.0.1:{port}", "devices": [device]}


def _written(path: Path, settings: dict[str, Any]) -> Path:
    path.write_text(json.dumps(settings, indent=2))  # JSON is YAML
    return path
