"""P1 after a kill between a write and its flush: what is read as committed may still be in memory alone.

The next start has to bring it to the disk before it tells anybody of it: a power cut would take it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.proof import prove
from tests.faults.traced import needs_strace, strace

PATIENCE_S = 10
ROOT = Path(__file__).parents[2]
WORK = """
import asyncio, socket, sys
from pathlib import Path
from gateway.buffer.buffer import Buffer
from tests.values import METER, power

async def work(commits):
    buffer = await Buffer.open(Path("buffer.db").absolute())
    page, reader = socket.socketpair()
    page.send(b'"buffer":{"head":%d' % buffer.head)
    for number in range(commits):
        buffer.put(METER, [power(number)])
        await buffer.flushed()
    await buffer.close()

asyncio.run(work(int(sys.argv[1])))
"""
FLUSHES = 25  # of the first process; those of a new file's schema are about half of them


@pytest.mark.P1
@pytest.mark.parametrize("flushes", range(FLUSHES, FLUSHES + 3))
def test_what_a_killed_process_did_not_flush_is_flushed_before_it_counts(tmp_path: Path, flushes: int) -> None:
    needs_strace()
    killing = ("-e", f"inject=fdatasync:signal=KILL:when={flushes}")
    program = (sys.executable, "-c", WORK)
    around: dict[str, Any] = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "timeout": PATIENCE_S}
    killed = subprocess.run((*strace("killed", *killing), *program, "30"), check=False, **around)
    assert killed.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    subprocess.run((*strace("after"), *program, "0"), check=True, **around)
    proof = prove(tmp_path, tmp_path / "killed", tmp_path / "after")
    assert proof.heads == 2
    assert proof.broken == []
