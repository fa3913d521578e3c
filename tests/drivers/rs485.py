"""An RS485 line in memory, character for character, with units that are well, slow, dead or lying."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.bus.channel import Transport
from drivers.bus.timing import character_s, silence_s
from drivers.modbus.frames import crc, rtu_frames


@dataclass
class Unit:
    """Answers reads of holding registers with the address in each register, `latency_s` after the request."""

    latency_s: float = 0.02
    dead: bool = False
    garble: bool = False  # the last byte of each answer is wrong
    misses: int = 0  # does not answer each so-many-th question
    answers_from: int = 0  # answers as if this were its unit id
    served: list[float] = field(default_factory=list)  # when each request came


class Rs485:
    """A Channel (drivers/bus/channel.py). Collisions are not modelled; times are."""

    name = "rs485"

    def __init__(self, units: Mapping[int, Unit], baud: int = 9600) -> None:
        self.character_s = character_s(baud, "none", 1)
        self.silence_s = silence_s(baud, self.character_s)
        self.units = units
        self.opened = 0
        self.gaps: list[float] = []  # silence between the last byte on the line and each request
        self.last_byte_at = 0.0
        self._protocol: asyncio.Protocol | None = None

    async def open(self, protocol: asyncio.Protocol) -> Transport:
        await asyncio.sleep(0)
        self.opened += 1
        self._protocol = protocol
        return self

    def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.gaps.append(loop.time() - self.last_byte_at)
        end = loop.time() + len(data) * self.character_s
        self.last_byte_at = end
        for unit_id, pdu in rtu_frames(data):
            unit = self.units.get(unit_id)
            if unit is None or unit.dead:
                continue
            unit.served.append(loop.time())
            if unit.misses and len(unit.served) % unit.misses == 0:
                continue
            first, count = int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
            words = b"".join((first + at).to_bytes(2) for at in range(count))
            frame = bytes([unit.answers_from or unit_id, pdu[0], len(words)]) + words
            frame += crc(frame) if not unit.garble else b"\0\0"
            done = end + unit.latency_s + len(frame) * self.character_s
            loop.call_at(done, self._deliver, frame, done)

    def _deliver(self, frame: bytes, at: float) -> None:
        self.last_byte_at = at
        if self._protocol is not None:
            self._protocol.data_received(frame)

    def abort(self) -> None:
        self._protocol = None

    def is_closing(self) -> bool:
        return self._protocol is None
