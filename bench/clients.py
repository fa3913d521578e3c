"""Our Modbus client beside pymodbus's: the same reads of the same device, in turns, each in a fresh process."""

import json
from pathlib import Path
from statistics import median

from bench.farm import devices
from bench.figures import Figure
from bench.process import python, running
from bench.progress import step

ROUNDS = 5
READS = 5000
KINDS = ("ours", "pymodbus")


async def measure_clients(state: Path) -> list[Figure]:
    """CPU of a read of 125 registers, and how many a second, as medians over the rounds."""
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    async with devices(state, 1) as farm:
        for number in range(ROUNDS):
            step(f"Modbus clients, round {number + 1} of {ROUNDS}")
            for kind in KINDS:
                command = python("bench.floors.client", "--kind", kind, "--port", farm.port, "--reads", READS)
                async with running(kind, command, state) as child:
                    await child.ended()
                    runs[kind].append(json.loads(child.output))
    cpu_us = {kind: median(1e6 * run["cpu_s"] / READS for run in rounds) for kind, rounds in runs.items()}
    rate = {kind: median(READS / run["elapsed_s"] for run in rounds) for kind, rounds in runs.items()}
    return [
        Figure(
            "CPU of a read of 125 registers", "us", cpu_us["ours"], {"pymodbus": cpu_us["pymodbus"]}, "pymodbus", 0.6
        ),
        Figure("such reads, one at a time", "a second", rate["ours"], {"pymodbus": rate["pymodbus"]}, "pymodbus"),
    ]
