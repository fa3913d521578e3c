"""Two hundred devices on one core: does the gateway keep their cycle?"""

import asyncio
import json
import shutil
import time
from pathlib import Path
from urllib.request import urlopen

from bench import site
from bench.farm import SOURCE, devices
from bench.figures import Figure, per
from bench.ports import free_ports
from bench.process import Child
from bench.progress import step, wait_until
from bench.work import POINTS, POLL_S

DEVICES = 200
WARM_UP_S = 10


async def measure_many(state: Path, seconds: int) -> list[Figure]:
    """Missed polls, CPU and how much of one core that is. The gateway has no hub here, and one core alone."""
    name = f"{DEVICES} devices x {POINTS} points each second, one core"
    if not SOURCE.exists() or shutil.which("gcc") is None:
        why = "only the farm in C serves so many devices: it needs ../shared/farm and gcc"
        return [Figure(f"{name}: missed polls", "polls", None, why=why)]
    folder = state / "many"
    folder.mkdir()
    async with devices(folder, DEVICES) as farm:
        step(f"{DEVICES} devices")
        page_port = free_ports(1)
        buffer = folder / "buffer.db"
        async with site.gateway(folder, buffer, farm.port, page_port, None, devices=DEVICES, core=0) as gateway:
            await wait_until(time.time() + WARM_UP_S, "warming up", [gateway])
            missed, taken, cpu_s, at = await _counters(gateway, page_port)
            await wait_until(time.time() + seconds, "measuring", [gateway])
            missed_end, taken_end, cpu_end_s, end = await _counters(gateway, page_port)
    readings = (taken_end - taken) * POINTS
    due = round((end - at) / POLL_S) * DEVICES
    return [
        Figure(f"{name}: missed polls of {due}", "polls", missed_end - missed, most=0),
        Figure("the same: CPU", "s per million readings", per(cpu_end_s - cpu_s, readings, 1e6)),
        Figure("the same: of the core", "%", 100 * (cpu_end_s - cpu_s) / (end - at)),
    ]


async def _counters(gateway: Child, page_port: int) -> tuple[int, int, float, float]:
    """Missed polls and taken records since the start, CPU seconds, wall seconds."""
    state = await asyncio.to_thread(_state, page_port)
    missed = sum(device["missed"] for device in state["devices"])  # type: ignore[attr-defined]  # as SiteState says
    return missed, state["buffer"]["head"], gateway.cpu_s(), time.time()  # type: ignore[index]


def _state(page_port: int) -> dict[str, object]:
    with urlopen(f"http://127.0.0.1:{page_port}/api/v1/state", timeout=30) as answer:
        state: dict[str, object] = json.load(answer)
        return state
