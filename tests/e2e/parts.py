"""Our programs as real processes."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.gateway import ports

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


def free_ports(*names: str) -> dict[str, int]:
    return dict(zip(names, ports.free_ports(len(names)), strict=True))


@asynccontextmanager
async def part(
    folder: Path, verb: str, file: str, *before: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """One of our programs, from the moment it says that it is ready; ended with the block.

    `before`: the words of a program that becomes it, as `env`.
    """
    with (folder / f"{verb}.log").open("a") as log:
        process = await asyncio.create_subprocess_exec(
            *before, sys.executable, "-m", "gateway.cli", verb, "--config", file,
            cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=asyncio.subprocess.PIPE, stderr=log,
        )  # fmt: skip
    assert process.stdout is not None
    said = await process.stdout.readline()
    assert said, (folder / f"{verb}.log").read_text()
    (folder / f"{verb}.said").write_bytes(said)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def until(condition: Callable[[dict[str, Any]], bool], state: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition(await state()):
            await asyncio.sleep(0.05)


def served(folder: Path, device: str) -> dict[int, int]:
    """What the simulator's log says of a counter's first group: the count shown, and when."""
    lines = (json.loads(line) for line in (folder / "served.jsonl").read_text().splitlines())
    return {
        line["words"][0] << 16 | line["words"][1]: line["t"]
        for line in lines
        if line["device"] == device and line["address"] == 0
    }


async def signed_in(http: aiohttp.ClientSession, hub: str, folder: Path) -> None:
    """Have `http` ask as the administrator whom the hub has made, with the password that it said at its first start."""
    found = re.search(r"as (\S+) with the password (\S+),", (folder / "hub.said").read_text())
    assert found, "it was not its first start"
    async with http.post(f"{hub}/api/v1/sign-in", json={"name": found[1], "password": found[2]}) as answer:
        http.headers["Authorization"] = f"Bearer {(await answer.json())['access_token']}"
