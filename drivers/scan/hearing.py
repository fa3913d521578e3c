"""What is heard on a line beside the answers that were asked for; pure."""

from dataclasses import dataclass, field

from drivers.bus.tap import Direction
from drivers.modbus.frames import rtu_frames
from drivers.modbus.shapes import is_reply, is_request

KEPT_MAX = 4096  # bytes, of one setting
NOISE_MIN = 2  # bytes: one alone may come from plugging in


@dataclass(slots=True)
class Hearing:
    """A sink that keeps the beginning of what is said on a line; `drivers/bus/tap.py`."""

    heard: bytearray = field(default_factory=bytearray)
    sent: set[bytes] = field(default_factory=set)

    def took(self, direction: Direction, data: bytes) -> None:
        if direction == ">":
            self.sent.add(data)
        else:
            self.heard += data
            del self.heard[KEPT_MAX:]

    @property
    def units(self) -> set[int]:
        """Who is spoken of in whole frames; our own questions, which some adapters echo, do not count."""
        return {unit_id for unit_id, pdu in rtu_frames(self._foreign()) if plausible(unit_id, pdu)}

    @property
    def is_noise(self) -> bool:
        """Something was said, but no whole frame."""
        return len(self._foreign()) >= NOISE_MIN and not self.units

    def _foreign(self) -> bytes:
        rest = bytes(self.heard)
        for frame in self.sent:
            rest = rest.replace(frame, b"")
        return rest


def plausible(unit_id: int, pdu: bytes) -> bool:
    """Whether a frame with a good checksum is likely to be Modbus: in long noise some checksum is good by chance."""
    return 0 < unit_id < 248 and (is_request(pdu) or is_reply(pdu))
