"""Serves a replay on TCP and on a pseudo-terminal."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

from drivers.bus.serving import serving
from drivers.modbus.frames import TCP_HEADER, crc, take_rtu_frames, take_tcp_frame
from drivers.simulator.replay import Answer, Replay
from gateway.core.errors import CodecError

Framing = Literal["tcp", "rtu"]
Send = Callable[[bytes], None]


class Replaying:
    """Answers on any number of connections; all share the order of the answers. `timed`: as late as then."""

    def __init__(self, replay: Replay, framing: Framing, *, timed: bool = False) -> None:
        self._replay = replay
        self._framing = framing
        self._timed = timed
        self._stopped = asyncio.Event()

    @contextlib.asynccontextmanager
    async def on_tcp(self, port: int = 0) -> AsyncIterator[int]:
        """Yields the port. Raises ConfigError where it cannot be had."""
        async with serving(self._serve, port=port) as taken:
            try:
                yield taken
            finally:
                self._stopped.set()

    @contextlib.asynccontextmanager
    async def on_pty(self) -> AsyncIterator[str]:
        """Yields the name of a pseudo-terminal that is used as a serial port; always RTU."""
        ours, theirs = os.openpty()  # theirs stays open here: else ours would fail whenever no one has it open
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()

        def feed() -> None:
            with contextlib.suppress(BlockingIOError):
                reader.feed_data(os.read(ours, 1024))

        loop.add_reader(ours, feed)
        task = loop.create_task(self._converse(reader, lambda data: _write(ours, data), self._rtu), name="replay")
        try:
            yield os.ttyname(theirs)
        finally:
            loop.remove_reader(ours)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            os.close(ours)
            os.close(theirs)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        take = self._tcp if self._framing == "tcp" else self._rtu
        with contextlib.suppress(CodecError):  # no Modbus TCP: the connection is closed
            await self._converse(reader, writer.write, take)

    async def _converse(
        self, reader: asyncio.StreamReader, send: Send, take: Callable[[bytearray, Send], Awaitable[None]]
    ) -> None:
        inbox = bytearray()
        while data := await reader.read(1024):
            inbox += data
            await take(inbox, send)

    async def _tcp(self, inbox: bytearray, send: Send) -> None:
        while (frame := take_tcp_frame(inbox)) is not None:
            if len(frame) > TCP_HEADER:
                answer = await self._answer(frame[6], frame[TCP_HEADER:])
                if answer.pdu:
                    send(frame[:4] + (len(answer.pdu) + 1).to_bytes(2) + frame[6:7] + answer.pdu)

    async def _rtu(self, inbox: bytearray, send: Send) -> None:
        for unit_id, request in take_rtu_frames(inbox):
            answer = await self._answer(unit_id, request)
            frame = bytes([unit_id]) + answer.pdu
            if data := frame + crc(frame) if answer.pdu else answer.garbled:
                send(data)

    async def _answer(self, unit_id: int, request: bytes) -> Answer:
        answer = self._replay.answer(unit_id, request)
        if self._timed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(answer.latency_ms / 1000):
                    await self._stopped.wait()
        return answer


def _write(descriptor: int, data: bytes) -> None:
    with contextlib.suppress(BlockingIOError):  # nobody reads the pseudo-terminal, and it is full
        os.write(descriptor, data)
