"""A half-duplex line: one question at a time, and only its own answer taken.

For what carries no number that ties an answer to its question: RTU on a serial port, through a
converter or over UDP, and lock boards. Time and contents must do: the silence between frames is
kept, and a unit that did not answer in time is left alone until its late answer can no longer come.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from drivers.bus.channel import Channel
from drivers.bus.connection import Connection
from drivers.bus.question import Question
from drivers.bus.timing import Patience
from gateway.core.errors import DeviceError

A = TypeVar("A")
FramesIn = Callable[[bytes], list[tuple[int, bytes]]]
"""All good frames in some bytes, as (unit id, content), whoever asked for them."""

QUIET_S = 0.002  # at least; some devices send an answer twice, and through a converter no character has a length
LATE_MAX = 2  # an answer may come after so many times the configured timeout, and still answers nothing
INBOX_MAX = 600  # a frame has at most 256 bytes; older noise is thrown away
FLOOD_BYTES = 65_536  # in a second: five times what a line at 115200 baud can carry
SILENT_HINT = "check the unit id, the wiring and that the device is on"


class Line:
    """Opens its channel by itself when a question finds it closed. Whoever owns the bus asks one thing at a time."""

    def __init__(self, channel: Channel, frames_in: FramesIn, *, settle_s: float = 0) -> None:
        self.name = channel.name
        self._channel = channel
        self._connection = Connection(channel, self._received, self._lost, settle_s=settle_s)
        self.statistics = self._connection.statistics
        self._frames_in = frames_in
        self._inbox = bytearray()
        self._asked: tuple[Question[Any], asyncio.Future[Any]] | None = None
        self._flood = 0.0, 0  # since when, and how many bytes
        self._last_byte_at = 0.0  # loop time, of either direction
        self._rests: dict[int, float] = {}  # by unit: when it last answered
        self._quarantine: dict[int, float] = {}  # by unit: until when
        self._patience: dict[int, Patience] = {}

    async def ask(self, question: Question[A], timeout_s: float, pause_s: float = 0) -> A:
        """Send the question and await its answer.

        The unit gets at most `timeout_s` to begin its answer, less once it is known to be quick, and
        `pause_s` between its last answer and this question. After a question without an answer it is
        not asked again before `LATE_MAX` times `timeout_s`: who does not want to wait for that asks
        `wait_s` first. Raises DeviceError without an answer.
        """
        unit_id = question.unit_id
        await self._sit_out(unit_id, pause_s)
        await self._connection.opened()
        await self._keep_silence()
        transport = await self._connection.opened()  # it may have been lost meanwhile
        self._pass_over()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        patience = self._patience.setdefault(unit_id, Patience())
        on_wire_s = (len(question.frame) + question.answer_bytes) * self._channel.character_s
        allowed_s = patience.timeout_s(timeout_s)
        statistics = self.statistics.unit(unit_id)
        statistics.asked += 1
        begun = loop.time()
        self._asked = question, answer
        transport.write(question.frame)
        self._last_byte_at = begun + len(question.frame) * self._channel.character_s
        try:
            async with asyncio.timeout(allowed_s + on_wire_s):
                found = await answer
        except asyncio.CancelledError:
            self._quarantine[unit_id] = begun + LATE_MAX * timeout_s  # its answer will come, and nobody wants it
            raise
        except TimeoutError as error:
            patience.timed_out()
            statistics.unanswered_s += loop.time() - begun
            self._quarantine[unit_id] = max(loop.time(), begun + LATE_MAX * timeout_s)
            raise self._no_answer(unit_id, allowed_s + on_wire_s) from error
        finally:
            self._asked = None
            taken_s = loop.time() - begun
            statistics.busy_s += taken_s
            self.statistics.busy_s += taken_s
        patience.answered(max(0.0, taken_s - on_wire_s))
        statistics.answered += 1
        statistics.latencies.append(taken_s)
        statistics.exceptions.update([code] if (code := getattr(found, "exception", 0)) else [])
        self._rests[unit_id] = loop.time()
        return found

    async def close(self) -> None:
        self._connection.drop()

    def wait_s(self, unit_id: int) -> float:
        """So long the unit is to be left alone because a late answer may come; others are asked meanwhile."""
        return max(0.0, self._quarantine.get(unit_id, 0.0) - asyncio.get_running_loop().time())

    async def _sit_out(self, unit_id: int, pause_s: float) -> None:
        """Let a late answer of this unit pass before it is asked again."""
        until = max(self._quarantine.get(unit_id, 0.0), self._rests.get(unit_id, 0.0) + pause_s)
        if (wait_s := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(wait_s)
        self._quarantine.pop(unit_id, None)

    async def _keep_silence(self) -> None:
        """Wait until the line has been quiet for long enough; noise that goes on for ever is not waited out."""
        loop = asyncio.get_running_loop()
        silence_s = max(self._channel.silence_s, QUIET_S)
        for _ in range(50):
            wait_s = self._last_byte_at + silence_s - loop.time()
            if wait_s <= 0:
                return
            await asyncio.sleep(wait_s)

    def _pass_over(self) -> None:
        """Count what came unasked, and forget it: it came before the question."""
        if self._inbox:
            frames = self._frames_in(bytes(self._inbox))
            for unit_id, _ in frames:
                self.statistics.unit(unit_id).late += 1
            if not frames:
                self.statistics.noise_bytes += len(self._inbox)
            self._inbox.clear()

    def _count_strangers(self, unit_id: int) -> None:
        """Count what stood around the answer of `unit_id`: replies that came late, or twice."""
        frames = self._frames_in(bytes(self._inbox))
        if unit_id in (owners := [owner for owner, _ in frames]):
            owners.remove(unit_id)
        for owner in owners:
            self.statistics.unit(owner).late += 1

    def _no_answer(self, unit_id: int, waited_s: float) -> DeviceError:
        """What the timeout was, counted and in words."""
        statistics = self.statistics.unit(unit_id)
        who = f"{self.name} unit {unit_id}"
        if not self._inbox:
            statistics.timeouts += 1
            self._connection.unanswered()
            return DeviceError(f"no answer from {who} within {waited_s:.3g} s", hint=SILENT_HINT)
        if self._frames_in(bytes(self._inbox)):
            statistics.foreign += 1
            return DeviceError(
                f"{who} was asked, but what came within {waited_s:.3g} s answers something else",
                hint="two devices may share a unit id, or another master is on the line",
            )
        statistics.garbled += 1
        return DeviceError(
            f"no whole answer from {who}: {len(self._inbox)} bytes without a good checksum",
            hint="check baud rate, parity, termination and shielding, and that no two devices share a unit id",
        )

    def _received(self, data: bytes) -> None:
        now_s = self._last_byte_at = asyncio.get_running_loop().time()
        since_s, count = self._flood
        self._flood = (now_s, len(data)) if now_s - since_s > 1 else (since_s, count + len(data))
        if self._flood[1] > FLOOD_BYTES:
            self._connection.drop()
            self._fail(DeviceError(f"{self.name} sends without end", hint="this may be no line of devices"))
            return
        self.statistics.noise_bytes += max(0, len(self._inbox) + len(data) - INBOX_MAX)
        self._inbox += data
        del self._inbox[:-INBOX_MAX]
        if self._asked is None:
            return
        question, answer = self._asked
        if answer.done():
            return
        found = question.answer_in(bytes(self._inbox))
        if found is not None:
            if len(self._inbox) > question.answer_bytes:
                self._count_strangers(question.unit_id)
            self._inbox.clear()
            answer.set_result(found)

    def _lost(self) -> None:
        self._fail(self._connection.closed())

    def _fail(self, error: DeviceError) -> None:
        if self._asked is not None and not self._asked[1].done():
            self._asked[1].set_exception(error)
