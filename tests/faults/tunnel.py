"""Joins two network namespaces by a line that loses, delays, doubles and throttles packets. Run as root:

    python tunnel.py NAMESPACE ADDRESS NAMESPACE ADDRESS

A `Line` as JSON on the standard input says how it is from then on; "ready" is said when both ends are up.
"""

import asyncio
import ctypes
import fcntl
import os
import struct
import subprocess
import sys
from pathlib import Path
from random import Random

import msgspec

CLONE_NEWNET = 0x40000000  # linux/sched.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
PACKET_MAX = 2000
WAITING_MAX_S = 3.0  # of a slow line's buffer; what comes on top is dropped


class Line(msgspec.Struct, frozen=True):
    """What befalls the packets, either way; probabilities from 0 to 1."""

    loss: float = 0
    doubled: float = 0
    delay_s: float = 0
    jitter_s: float = 0
    rate: float = 0  # bytes a second; 0: unlimited


class Direction:
    """From one end to the other."""

    def __init__(self, source: int, target: int) -> None:
        self.line = Line()
        self._source = source
        self._target = target
        self._random = Random()
        self._free_at = 0.0  # when all that was sent before is through

    def pass_on(self) -> None:
        """Take one packet; called when there is one."""
        packet = os.read(self._source, PACKET_MAX)
        line, loop = self.line, asyncio.get_running_loop()
        begin = max(loop.time(), self._free_at)
        if self._random.random() < line.loss or begin > loop.time() + WAITING_MAX_S:
            return
        self._free_at = begin + (len(packet) / line.rate if line.rate else 0)
        for _ in range(2 if self._random.random() < line.doubled else 1):
            at = self._free_at + line.delay_s + self._random.uniform(0, line.jitter_s)
            loop.call_at(at, os.write, self._target, packet)


def enter(namespace: Path) -> None:
    """This thread is in another network namespace from now on."""
    file = os.open(namespace, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(file, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns", str(namespace))
    finally:
        os.close(file)


def opened(namespace: str, address: str) -> int:
    """An end of the line; what is written to it arrives in `namespace`."""
    enter(Path("/run/netns") / namespace)
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"line", IFF_TUN | IFF_NO_PI))
    for words in (f"addr add {address}/24 dev line", "link set line up mtu 1400", "link set lo up"):
        subprocess.run(["ip", *words.split()], check=True)
    return tun


async def main(first: int, second: int) -> None:
    """Run until the input ends."""
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    directions = Direction(first, second), Direction(second, first)
    for direction, source in zip(directions, (first, second), strict=True):
        loop.add_reader(source, direction.pass_on)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while said := await lines.readline():
        for direction in directions:
            direction.line = msgspec.json.decode(said, type=Line)


if __name__ == "__main__":
    asyncio.run(main(opened(*sys.argv[1:3]), opened(*sys.argv[3:5])))
