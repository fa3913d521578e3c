"""What a gateway asked of the kernel, as strace has written it down, and what of it was on the disk at each moment."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.needs import needs

OPTIONS = ("-f", "-qq", "-y", "-xx", "-s", "1000000", "-e", "signal=none")
CALLS = "pwrite64,fdatasync,fsync,ftruncate,unlink,sendto,sendmsg,writev,recvfrom,recvmsg"
UNFINISHED = "<unfinished ...>"
LINE = re.compile(r"(\d+) +(?:<\.\.\. \w+ resumed>)?(.*)")
CALL = re.compile(r"(\w+)\((?:\d+<([^>]*)>)?")
NUMBERS = re.compile(r"(\d+)(?= *[,)])")


def needs_strace() -> None:
    """Skip the calling test where processes cannot be traced."""
    needs("strace", "strace")
    trial = subprocess.run(("strace", "-o", "/dev/null", "true"), check=False, capture_output=True, text=True)
    if trial.returncode:
        pytest.skip(f"tracing is not allowed here: {trial.stderr.strip()}")


def strace(trace: str, *more: str) -> tuple[str, ...]:
    """The beginning of a command that writes the trace of the rest."""
    return "strace", *OPTIONS, "-e", f"trace={CALLS}", "-o", trace, *more


@dataclass(frozen=True)
class Call:
    """A call of one thread, which begins and ends at different times; `where` is the file or the socket."""

    thread: int
    name: str
    where: str
    data: bytes
    last: int  # the last number among what it was given: where pwrite64 writes, how long ftruncate makes
    ended: bool


def calls(trace: Path) -> Iterator[Call]:
    """Each call twice, when it begins and when it ends, in the order in which the kernel was entered and left."""
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        found = LINE.fullmatch(line)
        assert found, line
        thread, text = found[1], begun.pop(found[1], "") + found[2]
        if text.endswith(UNFINISHED):
            begun[thread] = text.removesuffix(UNFINISHED)
            yield _call(thread, text, ended=False)
        else:
            if found[2] == text:
                yield _call(thread, text, ended=False)
            if not text.endswith(" = ?"):  # else the thread was killed in it
                yield _call(thread, text, ended=True)


def _call(thread: str, text: str, *, ended: bool) -> Call:
    given, _, result = text.rpartition(" = ") if ended else (text, "", "")
    assert '"...' not in text, "strace cut it short"
    named = CALL.match(given)
    assert named, text
    parts = [bytes.fromhex(part.replace("\\x", "")) for part in re.findall(r'"([^"]*)"', given)]
    data = b"".join(parts)
    if named[1].startswith("recv"):
        data = data[: max(0, int(result.split()[0]))] if ended else b""
    where = parts[0] if named[1] == "unlink" else bytes.fromhex((named[2] or "").replace("\\x", ""))
    numbers = NUMBERS.findall(given)
    return Call(int(thread), named[1], where.decode(), data, int(numbers[-1]) if numbers else 0, ended)


@dataclass
class Disk:
    """Files as the kernel has them in memory, and as they are on the disk for certain: what a power cut leaves."""

    memory: dict[str, bytearray] = field(default_factory=dict)
    certain: dict[str, bytes] = field(default_factory=dict)
    flushes: int = 0
    _flushing: dict[int, bytes] = field(default_factory=dict)

    def see(self, call: Call) -> None:
        """What was written when a flush began is certain when the flush has returned; nothing else is."""
        file = self.memory.setdefault(call.where, bytearray())
        if call.name in ("fdatasync", "fsync"):
            if call.ended:
                self.certain[call.where] = self._flushing.pop(call.thread)
                self.flushes += 1
            else:
                self._flushing[call.thread] = bytes(file)
        elif call.ended and call.name == "pwrite64":
            file.extend(bytes(max(0, call.last - len(file))))
            file[call.last : call.last + len(call.data)] = call.data
        elif call.ended and call.name == "ftruncate":
            del file[call.last :]
        elif call.ended and call.name == "unlink":
            del self.memory[call.where]
            self.certain.pop(call.where, None)
