"""Our programs as real processes."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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
    assert await process.stdout.readline(), (folder / f"{verb}.log").read_text()
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
