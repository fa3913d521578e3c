"""The devices of the reference work: the farm in C where it can be built, else the project's simulator."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ports import free_ports, listening
from bench.process import ROOT, python, running
from bench.work import DEVICES

SOURCE = ROOT.parent / "shared" / "farm" / "farm.c"


@dataclass(frozen=True, slots=True)
class Farm:
    """Device i listens on `port` + i."""

    kind: str
    port: int
    started_s: float  # wall time from which point 0 of every device counts milliseconds


@asynccontextmanager
async def devices(state: Path, count: int = DEVICES) -> AsyncIterator[Farm]:
    """`count` devices, for as long as the context lasts. Raises RuntimeError where they do not start."""
    built = _built(state)
    port = free_ports(count + 1)
    if built is None:
        started_s = time.time()
        command = python("bench.simulated", "--port", port, "--started-s", started_s)
        async with running("farm", command, state) as child:
            await listening(child, port + count - 1)
            yield Farm("the project's simulator: no ../shared/farm, or no gcc", port, started_s)
        return
    control = port + count
    command = [str(built), "-n", str(count), "-p", str(port), "-c", str(control)]
    async with running("farm", command, state) as child:
        await listening(child, control)
        yield Farm("the farm in C", port, await _started_s(control))


def _built(state: Path) -> Path | None:
    """The farm's program; None where its source or a compiler is missing."""
    if not SOURCE.exists() or shutil.which("gcc") is None:
        return None
    binary = state / "farm"
    try:
        subprocess.run(["gcc", "-O2", "-o", binary, SOURCE], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{SOURCE} does not compile: {error.stderr}") from error
    return binary


async def _started_s(control: int) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", control)
    counters: dict[str, float] = json.loads(await reader.read())
    writer.close()
    return counters["t0"]
