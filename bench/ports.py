"""Ports of this machine: free ones, and waiting until somebody listens."""

import asyncio
import socket

from bench.process import Child

HOST = "127.0.0.1"
PORTS = range(15020, 32000)  # below those that outgoing connections take
START_S = 20  # until a process must listen


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    for first in range(PORTS.start, PORTS.stop - count, count):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError(f"no {count} free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


async def listening(child: Child, port: int) -> None:
    """Return when `child` takes connections. Raises RuntimeError where it ends instead, or takes too long."""
    for _ in range(START_S * 10):
        child.check()
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        return
    raise RuntimeError(f"{child.name} does not listen on port {port} after {START_S} s")
