"""Two ways to hear a conversation that is not ours: on a line as a second listener, on TCP from between."""

import asyncio
import contextlib
from collections.abc import Callable

from drivers.bus.channel import Channel, Transport
from drivers.bus.serving import LOOPBACK, serving
from drivers.bus.tap import Sink, TappedChannel
from gateway.core.errors import DeviceError


class _Ear(asyncio.Protocol):
    """Takes what comes, and knows when nothing more will."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def listen(channel: Channel, sink: Sink) -> None:
    """Only listen; nothing is ever sent. Run until cancelled. Raises DeviceError where the channel closes."""
    ear = _Ear()
    transport = await TappedChannel(channel, sink).open(ear)
    try:
        await ear.lost.wait()
    finally:
        transport.abort()
    raise DeviceError(f"{channel.name} was closed", hint="its adapter may have been pulled")


async def relay(
    channel: Channel, sink: Sink, ready: Callable[[str], None], *, host: str = LOOPBACK, port: int = 0
) -> None:
    """Stand between a master and a device: listen on `host`:`port`, and pass everything on to `channel`.

    One master at a time. Run until cancelled; `ready` is told where to connect. Raises ConfigError
    where the port cannot be had.
    """
    tapped = TappedChannel(channel, sink)
    turn = asyncio.Lock()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with turn:
            with contextlib.suppress(DeviceError):  # the master sees its connection closed
                await _pass_on(reader, await tapped.open(_Passing(writer)))

    async with serving(handle, host, port) as taken:
        ready(f"{host}:{taken}")
        await asyncio.Event().wait()


class _Passing(asyncio.Protocol):
    """Passes what the device says on to the master."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def data_received(self, data: bytes) -> None:
        self._writer.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._writer.close()


async def _pass_on(reader: asyncio.StreamReader, device: Transport) -> None:
    try:
        while data := await reader.read(1024):
            device.write(data)
    finally:
        device.abort()
