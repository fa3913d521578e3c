"""Modbus RTU on a half-duplex line: a serial port, a converter on TCP, GoodWe's framing over UDP."""

from drivers.bus.channel import Channel
from drivers.bus.line import FramesIn, Line
from drivers.modbus.frames import RtuQuestion, rtu_frames
from drivers.modbus.requests import Reply, Request


def rtu_line(channel: Channel, *, settle_s: float = 0, also: FramesIn = lambda inbox: []) -> Line:
    """A line whose foreign frames are recognised as Modbus RTU, or as what `also` knows."""
    return Line(channel, lambda inbox: rtu_frames(inbox) + also(inbox), settle_s=settle_s)


class RtuLink:
    """Asks Modbus requests on a line that it may share with other protocols."""

    def __init__(self, line: Line) -> None:
        self.name = line.name
        self.line = line
        self.statistics = line.statistics

    async def ask(self, request: Request, timeout_s: float, pause_s: float = 0) -> Reply:
        """See `Line.ask`. Raises DeviceError."""
        return await self.line.ask(RtuQuestion(request), timeout_s, pause_s)

    def wait_s(self, unit_id: int) -> float:
        """See `Line.wait_s`."""
        return self.line.wait_s(unit_id)

    async def close(self) -> None:
        await self.line.close()
