"""A channel with an ear on it: what goes out and what comes in is told to a sink, byte for byte."""

import asyncio
from typing import Literal, Protocol

from drivers.bus.channel import Channel, Transport

Direction = Literal[">", "<"]
"""Out to the devices, or in from them."""


class Sink(Protocol):
    def took(self, direction: Direction, data: bytes) -> None:
        """Called with each piece as it passes; must not raise."""
        ...


class TappedChannel:
    """Any channel, with a sink that hears all of it."""

    def __init__(self, channel: Channel, sink: Sink) -> None:
        self.name = channel.name
        self.character_s = channel.character_s
        self.silence_s = channel.silence_s
        self._channel = channel
        self._sink = sink

    async def open(self, protocol: asyncio.Protocol) -> Transport:
        return _TappedTransport(await self._channel.open(_TappedProtocol(protocol, self._sink)), self._sink)


class _TappedTransport:
    def __init__(self, transport: Transport, sink: Sink) -> None:
        self._transport = transport
        self._sink = sink
        self.abort = transport.abort
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        self._sink.took(">", data)
        self._transport.write(data)


class _TappedProtocol(asyncio.Protocol):
    def __init__(self, protocol: asyncio.Protocol, sink: Sink) -> None:
        self._protocol = protocol
        self._sink = sink

    def data_received(self, data: bytes) -> None:
        self._sink.took("<", data)
        self._protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
