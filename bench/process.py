"""Processes of the benchmark: started, measured from /proc, and ended by their own id."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STOP_S = 10  # from SIGTERM until SIGKILL


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process holds, in bytes: resident, its share of it, and what it has alone."""

    rss: int
    pss: int
    uss: int


class Child:
    """A running process; its log is a file, its output is kept for the end."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.output = b""  # all of its standard output, once it has ended
        self._process = process
        self._log = log
        self._reading = asyncio.create_task(self._read(), name=f"output of {name}")

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _read(self) -> None:
        assert self._process.stdout is not None
        self.output = await self._process.stdout.read()

    def check(self) -> None:
        """Raises RuntimeError, with the end of its log, where the process has ended."""
        if self._process.returncode is not None:
            tail = self._log.read_text(errors="replace").strip().splitlines()[-15:]
            raise RuntimeError(f"{self.name} ended with code {self._process.returncode}:\n" + "\n".join(tail))

    async def ended(self) -> None:
        """Await its end. Raises RuntimeError where it failed."""
        await self._process.wait()
        await self._reading
        if self._process.returncode:
            self.check()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help; returns when the process has ended."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        await self._reading

    def cpu_s(self) -> float:
        """User and system time of the process and of those that it started, in seconds."""
        return cpu_s(self.pid)

    def memory(self) -> Memory:
        kinds = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
        for pid in _family(self.pid):
            for line in _read(f"/proc/{pid}/smaps_rollup").splitlines()[1:]:
                kind, _, amount = line.partition(":")
                if kind in kinds:
                    kinds[kind] += 1024 * int(amount.split()[0])
        return Memory(kinds["Rss"], kinds["Pss"], kinds["Private_Clean"] + kinds["Private_Dirty"])


@asynccontextmanager
async def running(name: str, command: Sequence[str], state: Path) -> AsyncIterator[Child]:
    """`command`, from the project's root, for as long as the context lasts; its log is `state`/NAME.log.

    It gets a session of its own, so that Ctrl-C reaches the benchmark alone, which ends it in order.
    """
    log = state / f"{name}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=errors, start_new_session=True
        )
    child = Child(name, process, log)
    try:
        yield child
    finally:
        await child.stop()


def python(module: str, *arguments: object) -> list[str]:
    """The command that runs `module` in this very interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def cpu_s(pid: int) -> float:
    """User and system time of a process and of all that descended from it, in seconds."""
    return sum(_cpu_s(one) for one in _family(pid))


def _family(pid: int) -> list[int]:
    """`pid` and all that descend from it."""
    children = _read(f"/proc/{pid}/task/{pid}/children").split()
    return [pid, *(descendant for child in children for descendant in _family(int(child)))]


def _cpu_s(pid: int) -> float:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_S  # fields 14 to 17 of proc(5): its own, and of children that ended


def _read(file: str) -> str:
    """Empty of a process that has ended: a server's come and go."""
    try:
        return Path(file).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
