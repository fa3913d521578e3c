"""Simulated lock boards on one RS485 line, with doors that people close and faults that boards have."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from drivers.locks.frames import FRAME_MIN, LOCKS, STATUS, UNLOCK, WAKE, BoardState, frames_in, state_frame


class SimulatedBoard:
    """A board whose hooks are all closed at first; its faults are plain attributes, to be set at any time."""

    def __init__(self) -> None:
        self.hooks = 0xFFFF
        self.sensors = 0
        self.pulses: list[int] = []  # the locks that were pulsed, in order
        self.wakes = 0
        self.on_pulse: Callable[[int], None] = lambda lock: None
        self.silent = False
        self.answers_pulses = False
        self.busy_behind_pulse = False  # and silent, until it is woken
        self.stuck: set[int] = set()  # locks whose hook does not move
        self.slow_reads = 0  # how many statuses still show a hook closed that was pulsed
        self._busy = False
        self._moving: dict[int, int] = {}

    def close(self, lock: int) -> None:
        """What a person does with a door."""
        self.hooks |= 1 << lock - 1

    def answer(self, command: int, lock: int) -> BoardState | None:
        """What the board says to a request; None for silence."""
        if self.silent:
            return None
        if command == WAKE:
            self.wakes += 1
            self._busy = False
            return None
        if self._busy:
            return None
        if command == STATUS:
            self._move()
            return BoardState(self.hooks, self.sensors)
        if command == UNLOCK:
            self.pulses.append(lock)
            self._busy = self.busy_behind_pulse
            if lock not in self.stuck:
                self._moving[lock] = self.slow_reads
            self.on_pulse(lock)
            return BoardState(self.hooks, self.sensors) if self.answers_pulses else None
        return None

    def _move(self) -> None:
        for lock, reads in list(self._moving.items()):
            if reads:
                self._moving[lock] -= 1
            else:
                del self._moving[lock]
                self.hooks &= ~(1 << lock - 1) & (1 << LOCKS) - 1


class SimulatedLine:
    """A line as its boards hear it: every byte reaches all; `noise` goes before each answer.

    `neighbour` is what else is on the line: it is given what was heard, and its answer goes out.
    """

    def __init__(
        self, boards: Mapping[int, SimulatedBoard], *, noise: bytes = b"",
        neighbour: Callable[[bytes], bytes] = lambda heard: b"",
    ) -> None:  # fmt: skip
        self._boards = boards
        self._noise = noise
        self._neighbour = neighbour

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the peer is gone."""
        inbox = b""
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(256):
                inbox = inbox[1 - FRAME_MIN :] + chunk
                for unit_id, request in frames_in(inbox):
                    board = self._boards.get(unit_id)
                    state = board.answer(request[2], (request[1] & 0xF) + 1) if board else None
                    if state is not None:
                        writer.write(self._noise + state_frame(unit_id, state))
                writer.write(self._neighbour(chunk))
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    @asynccontextmanager
    async def on_tcp(self) -> AsyncIterator[int]:
        """The line behind a converter that passes bytes through; gives the port on 127.0.0.1."""
        serving: set[asyncio.Task[None] | None] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            serving.add(asyncio.current_task())
            await self.serve(reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
            await asyncio.gather(*(task for task in serving if task))
