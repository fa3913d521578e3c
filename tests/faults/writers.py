"""Starts and kills the processes of `writer.py`, and hears what they acknowledge."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class Acknowledged:
    """Numbers below these are on the disk, as the writers have said."""

    polled: int = 0
    pushed: int = 0


class Writers:
    """One writer at a time on one folder, each going on where the one before was killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._pid = 0
        self._ended = True
        self.acknowledged = Acknowledged()

    def start(self, folder: Path, *, polled: int = 0, synchronous: str = "FULL", checkpoint: int = 100) -> None:
        """`polled`: the number to go on with; what was pushed and not acknowledged is pushed again.

        The log is brought into the file every `checkpoint` pages: far more often than by a gateway, so that many
        kills come in between.
        """
        order = {"folder": str(folder), "polled": polled, "pushed": self.acknowledged.pushed}
        self._tell(json.dumps(order | {"synchronous": synchronous, "checkpoint": checkpoint}))
        what, self._pid = self._hear()
        assert what == "writer"
        self._ended = False

    def work(self, acknowledgements: int) -> None:
        """Return after so many."""
        for _ in range(acknowledgements):
            assert self._note(), "the writer ended by itself"

    def stop(self) -> None:
        """It says nothing any more, whatever its system calls still answer; only `kill` comes after this."""
        os.kill(self._pid, signal.SIGSTOP)

    def kill(self, after_s: float = 0) -> None:
        """End it, at once or at a moment amid its work, and hear what it said until then."""
        if after_s:
            moment = threading.Timer(after_s, os.kill, (self._pid, signal.SIGKILL))
            moment.start()
            moment.join()
        else:
            os.kill(self._pid, signal.SIGKILL)
        while self._note():
            pass
        self._tell("")
        self._pid = 0

    def _note(self) -> bool:
        """Hear one line; False when the writer has ended."""
        if not self._ended:
            what, number = self._hear()
            self._ended = what == "ended"
            if not self._ended:
                setattr(self.acknowledged, what, number)
        return not self._ended

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> tuple[str, int]:
        assert self._process.stdout is not None
        what, _, number = self._process.stdout.readline().partition(" ")
        return what, int(number)


@contextmanager
def writers() -> Iterator[Writers]:
    """The process that forks them; ended with the block."""
    command = (sys.executable, "-m", "tests.faults.writer")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        started = Writers(process)
        try:
            yield started
        finally:
            if started._pid:
                started.kill()
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
