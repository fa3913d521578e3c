"""A pseudo-terminal with RTU devices at its other end; they understand one rate only."""

import asyncio
import os
import termios
import tty
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from drivers.modbus.frames import crc, take_rtu_frames
from drivers.simulator.image import Image

SPEEDS = {38400: termios.B38400, 57600: termios.B57600, 115200: termios.B115200}
NOISE = bytes.fromhex("00 f8 80 1f e6 00")  # what a frame looks like at another rate: no checksum is good


def rtu(unit_id: int, pdu: bytes) -> bytes:
    frame = bytes([unit_id]) + pdu
    return frame + crc(frame)


def reply(image: Image, request: bytes) -> bytes:
    """The PDU that answers a read of registers; exception 2 where the image has none, 1 for other functions."""
    if request[0] not in (3, 4):
        return bytes([request[0] | 0x80, 1])
    table = "holding" if request[0] == 3 else "input"
    words = image.read(table, int.from_bytes(request[1:3]), int.from_bytes(request[3:5]), 0)
    if words is None:
        return bytes([request[0] | 0x80, 2])
    return bytes([request[0], 2 * len(words)]) + b"".join(word.to_bytes(2) for word in words)


class PtyLine:
    """`asked`: the requests that came at the right rate, whoever they were for."""

    def __init__(
        self, name: str, ours: int, devices: Mapping[int, Image], baud: int, echo: bool, late_s: float
    ) -> None:
        self.name = name
        self.asked: list[tuple[int, bytes]] = []
        self._ours = ours
        self._devices = devices
        self._speed = SPEEDS[baud]
        self._echo = echo
        self._late_s = late_s
        self._inbox = bytearray()

    def say(self, data: bytes) -> None:
        os.write(self._ours, data)

    def feed(self) -> None:
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self._ours, 1024)
        if self._echo:
            self.say(data)
        if termios.tcgetattr(self._ours)[5] != self._speed:
            if self._devices:
                self.say(NOISE)
            return
        self._inbox += data
        for unit_id, request in take_rtu_frames(self._inbox):
            self.asked.append((unit_id, request))
            if unit_id in self._devices:
                answer = rtu(unit_id, reply(self._devices[unit_id], request))
                asyncio.get_running_loop().call_later(self._late_s, self.say, answer)


@asynccontextmanager
async def pty_line(
    devices: Mapping[int, Image], baud: int = 115200, *, echo: bool = False, late_s: float = 0
) -> AsyncIterator[PtyLine]:
    """`echo`: as some adapters do, all that is sent comes back."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    line = PtyLine(os.ttyname(theirs), ours, devices, baud, echo, late_s)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, line.feed)
    try:
        yield line
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)
