"""A channel that is opened when it is needed, and opened again when it was lost."""

import asyncio
from collections.abc import Callable

from drivers.bus.channel import Channel, Transport
from gateway.core.errors import DeviceError
from gateway.core.statistics import BusStatistics

UNANSWERED_MAX = 3  # timeouts in a row of all units; then the peer may no longer know this connection
CLOSED_HINT = "it may serve only one client, restart just now, or its adapter was pulled"


class Connection:
    """Gives what comes in to `received`, and calls `lost` when it ends by itself."""

    def __init__(
        self, channel: Channel, received: Callable[[bytes], None], lost: Callable[[], None], *, settle_s: float = 0
    ) -> None:
        self.name = channel.name
        self.statistics = BusStatistics()
        self._channel = channel
        self._received = received
        self._lost = lost
        self._settle_s = settle_s
        self._opening = asyncio.Lock()
        self._ear: _Ear | None = None  # of the transport that counts; what an older one says is passed over
        self.transport: Transport | None = None  # while it is open
        self._unanswered = 0

    async def opened(self) -> Transport:
        """The open transport. Raises DeviceError where it cannot be had."""
        async with self._opening:
            if self.transport is None:
                self.transport = await self._open()
            return self.transport

    async def _open(self) -> Transport:
        self._ear = ear = _Ear(self)
        self._unanswered = 0
        try:
            transport = await self._channel.open(ear)
        except DeviceError:
            self.statistics.connect_failures += 1
            raise
        self.statistics.connects += 1
        try:
            if self._settle_s:
                await asyncio.sleep(self._settle_s)
        except asyncio.CancelledError:
            transport.abort()
            raise
        if self._ear is not ear:
            raise self.closed()
        return transport

    def unanswered(self) -> bool:
        """Count a timeout with nothing received; whether the connection was given up for it."""
        self._unanswered += 1
        if self._unanswered < UNANSWERED_MAX:
            return False
        self.drop()
        return True

    def drop(self) -> None:
        """Give the connection up; the next question opens it anew."""
        transport, self.transport, self._ear = self.transport, None, None
        if transport is not None:
            transport.abort()

    def closed(self) -> DeviceError:
        """What to tell who waited for an answer on it."""
        return DeviceError(f"{self.name} closed the connection", hint=CLOSED_HINT)

    def hear(self, ear: "_Ear", data: bytes) -> None:
        if ear is self._ear:
            self._unanswered = 0
            self._received(data)

    def end(self, ear: "_Ear") -> None:
        if ear is self._ear:
            self.statistics.disconnects += 1
            self.transport = self._ear = None
            self._lost()


class _Ear(asyncio.Protocol):
    """Knows which transport it belongs to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        self._connection.hear(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.end(self)
