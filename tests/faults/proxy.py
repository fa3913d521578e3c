"""A TCP proxy between gateway and hub that goes wrong as networks do; a `Fault` says how."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

PIECE = 4096
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST, and what was not sent is thrown away

End = Literal["reset", "close", "silence"]
"""How a connection ends: by RST, by FIN, or not at all: nothing passes any more and nobody is told (half-open)."""
Forward = Callable[[bytes], Awaitable[bytes]]
Impostor = Callable[[bytes, Forward], Awaitable[bytes]]
"""Answers a request in the hub's place; by `Forward` it may ask the hub. Both are whole HTTP messages."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with every connection; as it stands, nothing. What has passed counts from the fault's begin."""

    up_max: int | None = None  # bytes that the hub still gets; then comes the end
    down_max: int | None = None  # bytes that the gateway still gets; then comes the end
    end: End = "reset"
    delay_s: float = 0  # of each piece, either way
    rate: float = 0  # bytes a second, each way; 0: as quick as it goes
    impostor: Impostor | None = None
    away: bool = False  # nobody listens, and what was open is reset

    @property
    def is_mild(self) -> bool:
        """Whether all goes through."""
        return self.up_max is None and self.down_max is None and self.impostor is None


WELL = Fault()


class Proxy:
    """Passes on to `hub`, (host, port), from `port` on; use it as a context. It ends TLS where it has `tls`."""

    def __init__(
        self, hub: tuple[str, int], *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.hub = hub
        self.port = port
        self.fault = WELL
        self.met = (
            0  # how often, since it began: connections ended, requests taken by an impostor, else pieces of answers
        )
        self._host = host
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.Task[None], _Line] = {}

    @property
    def url(self) -> str:
        """Where the gateway finds what it takes for its hub."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    async def __aenter__(self) -> "Proxy":
        await self._listen()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.turn(Fault(away=True))

    async def turn(self, fault: Fault) -> None:
        """From now on it is like this. A connection that fell silent stays so."""
        self.fault, self.met = fault, 0
        if not fault.away:
            await self._listen()
            return
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._lines:
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._took, self._host, self.port, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _took(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        line = self._lines[task] = _Line(self, reader, writer)
        try:
            await line.run()
        except asyncio.CancelledError:
            line.finish("reset")
        finally:
            del self._lines[task]

    async def forward(self, request: bytes) -> bytes:
        """The hub's answer, over a connection of its own."""
        reader, writer = await asyncio.open_connection(*self.hub)
        try:
            writer.write(request)
            return await message(b"", reader)
        finally:
            writer.close()


class _Line:
    """One connection of the gateway, and the one to the hub that belongs to it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._edge = reader, writer
        self._writers = [writer]
        self._fault = proxy.fault
        self._passed = {"up": 0, "down": 0}
        self._silent = False

    async def run(self) -> None:
        """Pass on until either side ends it, or a fault does."""
        try:
            hub = await asyncio.open_connection(*self._proxy.hub)
        except OSError:
            self.finish("reset")
            return
        self._writers.append(hub[1])
        pumps = [
            asyncio.ensure_future(self._pump("up", self._edge[0], hub[1])),
            asyncio.ensure_future(self._pump("down", hub[0], self._edge[1])),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            self.finish(done.pop().result())
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, way: Literal["up", "down"], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> End:
        with suppress(OSError, asyncio.IncompleteReadError):
            while piece := await reader.read(PIECE):
                fault = self._proxy.fault
                if fault is not self._fault:
                    self._fault, self._passed = fault, {"up": 0, "down": 0}
                if way == "up" and fault.impostor is not None and is_request(piece):
                    request = await message(piece, reader)
                    await self._write(self._edge[1], await fault.impostor(request, self._proxy.forward))
                    self._proxy.met += 1
                    continue
                await asyncio.sleep(fault.delay_s + (len(piece) / fault.rate if fault.rate else 0))
                most = fault.up_max if way == "up" else fault.down_max
                await self._write(writer, piece if most is None else piece[: max(0, most - self._passed[way])])
                self._passed[way] += len(piece)
                if most is not None and self._passed[way] > most:
                    self._proxy.met += 1
                    self._silent = fault.end == "silence"
                    if not self._silent:
                        return fault.end
                elif way == "down" and fault.is_mild:
                    self._proxy.met += 1
        if self._silent:
            await asyncio.Event().wait()
        return "close"

    async def _write(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        if self._silent:
            await asyncio.Event().wait()
        writer.write(piece)
        await writer.drain()

    def finish(self, end: End) -> None:
        """Both sides learn of it."""
        for writer in self._writers:
            sock: socket.socket | None = writer.get_extra_info("socket")
            if end == "reset" and sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()
            writer.close()


def is_request(piece: bytes) -> bool:
    """Whether a piece is the begin of an HTTP request, not the middle of one."""
    return piece.startswith((b"POST ", b"GET "))


async def message(begin: bytes, reader: asyncio.StreamReader) -> bytes:
    """One whole HTTP message with a Content-Length or without a body, of which `begin` is here."""
    while b"\r\n\r\n" not in begin:
        begin += await _more(reader)
    head, _, body = begin.partition(b"\r\n\r\n")
    length = int(header(head, "Content-Length") or 0)
    while len(body) < length:
        body += await _more(reader)
    return head + b"\r\n\r\n" + body


async def _more(reader: asyncio.StreamReader) -> bytes:
    piece = await reader.read(PIECE)
    if not piece:
        raise ConnectionResetError("closed in the middle of a message")
    return piece


def header(message: bytes, name: str) -> str:
    """A header's value; empty where it is not there."""
    for line in message.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n"):
        if line.lower().startswith(name.lower() + ":"):
            return line.partition(":")[2].strip()
    return ""
