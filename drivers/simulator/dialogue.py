"""A small Modbus TCP server for devices that one must talk with: what is written changes what is read next."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from drivers.modbus.frames import TCP_HEADER, take_tcp_frame
from drivers.modbus.requests import words_of
from gateway.core.errors import CodecError

HOST = "127.0.0.1"  # it has no credentials, so it answers this machine only


class Unit(Protocol):
    """One device behind the server; registers are holding registers, 0-based."""

    def read(self, address: int, count: int) -> Sequence[int] | None:
        """The registers (function 3); None: no such address."""
        ...

    def write(self, address: int, words: Sequence[int]) -> bool:
        """Take the registers (function 16); false: no such address."""
        ...


class DialogueServer:
    """Serves its units, by unit id, while its async context lasts; others stay silent, and so do all while `mute`."""

    def __init__(self, units: Mapping[int, Unit], port: int = 0) -> None:
        self.port = port  # 0: a free one, known once it serves
        self.mute = False
        self._units = units
        self._open: set[asyncio.Transport] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for transport in list(self._open):
            transport.abort()
        await self._server.wait_closed()
        await asyncio.sleep(0)  # lets the transports close

    def answer(self, frame: bytes) -> bytes:
        """What to send back for a request, nothing where nobody answers."""
        unit = self._units.get(frame[6])
        if unit is None or self.mute:
            return b""
        pdu = _reply(unit, frame[TCP_HEADER:])
        return frame[:4] + (len(pdu) + 1).to_bytes(2) + frame[6:7] + pdu


def _reply(unit: Unit, pdu: bytes) -> bytes:
    function, address, count = pdu[0], int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
    if function == 3:
        words = unit.read(address, count)
        return b"\x83\x02" if words is None else bytes([3, 2 * count]) + words_of(words)
    if function == 16:
        written = [int.from_bytes(pdu[at : at + 2]) for at in range(6, 6 + 2 * count, 2)]
        return pdu[:5] if unit.write(address, written) else b"\x90\x02"
    return bytes([function | 0x80, 1])


class _Connection(asyncio.Protocol):
    def __init__(self, server: DialogueServer) -> None:
        self._server = server
        self._inbox = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server._open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        try:
            while (frame := take_tcp_frame(self._inbox)) is not None:
                self._transport.write(self._server.answer(frame))
        except CodecError:
            self._transport.abort()
