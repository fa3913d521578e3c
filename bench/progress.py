"""What the benchmark is doing, on the standard error: a line a phase, and the seconds that are left."""

import asyncio
import sys
import time
from collections.abc import Sequence

from bench.process import Child

REPORT_S = 15  # between two lines, where the terminal cannot rewrite one


def step(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def wait_until(wall_s: float, text: str, children: Sequence[Child]) -> None:
    """Sleep until `wall_s`, saying how long that is. Raises RuntimeError as soon as one of `children` has ended."""
    live = sys.stderr.isatty()
    said_at = 0.0
    while (left := wall_s - time.time()) > 0:
        for child in children:
            child.check()
        if live:
            print(f"\r{text}: {left:.0f} s left ", end="", file=sys.stderr, flush=True)
        elif time.time() - said_at >= REPORT_S:
            said_at = time.time()
            step(f"{text}: {left:.0f} s left")
        await asyncio.sleep(min(left, 1))
    if live:
        step(f"\r{text}: done        ")
