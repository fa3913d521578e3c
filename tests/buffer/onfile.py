"""A site's folder with a buffer in it, and the program as a user starts it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.buffer.buffer import Buffer
from gateway.core.model import Record
from tests.stored import everything
from tests.values import METER, power

ROOT = Path(__file__).parents[2]
HUB = 'hub: {url: "http://127.0.0.1:1", node_id: mill, secret: sixteen-characters}\n'


async def holdfast(*arguments: str | Path, under: tuple[str, ...] = ()) -> tuple[int | None, str, str]:
    """Exit code, standard output, standard error; `under` is a program that starts it."""
    process = await asyncio.create_subprocess_exec(
        *under, sys.executable, "-m", "gateway.cli", *arguments, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def site_yaml(folder: Path, more: str = "") -> Path:
    """A configuration whose buffer is `folder`/buffer.db."""
    file = folder / "site.yaml"
    file.write_text(f"site: {{timezone: Europe/Berlin}}\n{more}")
    return file


async def fill(buffer: Buffer, times: range, *, seal: bool = False) -> None:
    """One record of the meter at each of `times`."""
    buffer.put(METER, [power(ms) for ms in times])
    await buffer.flushed()
    if seal:
        await buffer.sealing.seal()


async def content(path: Path) -> list[Record]:
    """All that a buffer's file has."""
    async with opened(path) as buffer:
        return await everything(buffer)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Buffer]:
    buffer = await Buffer.open(path)
    try:
        yield buffer
    finally:
        await buffer.close()


@asynccontextmanager
async def writer(path: Path) -> AsyncIterator[asyncio.StreamReader]:
    """Another process that commits all the time; yields what it says: how many records are acknowledged."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.buffer.writer", path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()
