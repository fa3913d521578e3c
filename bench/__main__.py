"""`python -m bench`: measure the gateway beside its floors, print a table, write build/bench.json."""

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from bench import machine, pushed, results
from bench.catchup import measure_catchup
from bench.clients import measure_clients
from bench.figures import Figure
from bench.hub_scale import measure_hub_scale
from bench.many import measure_many
from bench.process import ROOT
from bench.progress import step
from bench.report import Report
from bench.run import Measured, measure
from bench.wired import measure_wire
from bench.written import measure_written

RESULT = ROOT / "build" / "bench.json"


def main() -> int:
    """The exit code: 0, 1 where something failed, 130 where somebody stopped it."""
    options = _arguments()
    facts = machine.describe() | {"load at the start": machine.load()}
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=options.state) as state:
            before, run = asyncio.run(_measure(Path(state), options.seconds))
    except (KeyboardInterrupt, asyncio.CancelledError):
        step("stopped; everything is undone")
        return 130
    except (RuntimeError, OSError) as error:
        step(f"failed: {error}")
        return 1
    facts["load at the end"] = machine.load()
    batches = pushed.batches(run.proxy.requests())
    figures, notes = before + results.figures(run, batches), results.notes(run, batches)
    report = Report(options.seconds, run.farm.kind, facts, figures, notes)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(report.json())
    print(f"\n{report.text()}\n\nalso in {RESULT.relative_to(ROOT)}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="how long to measure, after 10 s of warming up")
    parser.add_argument(
        "--state", type=Path, help="where to make the folder for disks, logs and stores; it is removed at the end"
    )
    return parser.parse_args()


async def _measure(state: Path, seconds: int) -> tuple[list[Figure], Measured]:
    """All subjects, one group after the other; a SIGTERM ends it as tidily as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    before = await measure_written(state) + await measure_wire(state) + await measure_catchup(state)
    before += await measure_hub_scale(state)
    before += await measure_clients(state) + await measure_many(state, max(10, seconds // 4))
    return before, await measure(state, seconds)


if __name__ == "__main__":
    sys.exit(main())
