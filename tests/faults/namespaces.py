"""A gateway and a hub in network namespaces of their own, with a real line between them."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.faults import tunnel
from tests.faults.tunnel import Line
from tests.needs import lacks

HERE = Path("/proc/thread-self/ns/net")
ADDRESSES = "10.78.0.1", "10.78.0.2"


@dataclass
class Joined:
    """Two namespaces, by name, and the line's process."""

    names: tuple[str, str]
    process: asyncio.subprocess.Process

    def within(self, end: int) -> tuple[str, ...]:
        """The words by which a program runs at an end, 0 or 1."""
        return ("ip", "netns", "exec", self.names[end])

    async def turn(self, line: Line) -> None:
        """From now on it is like this."""
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(line) + b"\n")
        await self.process.stdin.drain()

    def socket(self, address: tuple[Any, ...]) -> socket.socket:
        """A socket of this process whose network is that of the first end; for `aiohttp.TCPConnector`."""
        family, kind, protocol, *_ = address
        home = os.open(HERE, os.O_RDONLY)
        try:
            tunnel.enter(Path("/run/netns") / self.names[0])
            return socket.socket(family, kind, protocol)
        finally:
            tunnel.enter(Path(f"/proc/self/fd/{home}"))
            os.close(home)


@asynccontextmanager
async def joined() -> AsyncIterator[Joined]:
    """Skips the test where that is not allowed."""
    if shutil.which("ip") is None:
        lacks("ip", "iproute2")
    if os.geteuid() or not Path("/dev/net/tun").exists():
        pytest.skip("only root may make network namespaces, and only where there is /dev/net/tun")
    first, second = names = f"holdfast-{os.getpid()}-a", f"holdfast-{os.getpid()}-b"
    for name in names:
        subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, tunnel.__file__, first, ADDRESSES[0], second, ADDRESSES[1],
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield Joined(names, process)
        process.stdin.close()
        await process.wait()
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=True)
