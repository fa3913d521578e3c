"""Modbus TCP: questions and answers tied by a transaction number, so that several may be under way."""

import asyncio
import random
from dataclasses import dataclass

from drivers.bus.channel import Channel, Transport
from drivers.bus.connection import Connection
from drivers.bus.line import SILENT_HINT
from drivers.bus.timing import TCP_FLOOR_S, Patience
from drivers.modbus.frames import take_tcp_frame, tcp_reply, tcp_request
from drivers.modbus.requests import Reply, Request
from gateway.core.errors import CodecError, DeviceError

FOREIGN_MAX = 1000  # frames in a row that answer nothing; then the connection is not worth its time
FRAMING_HINT = "this may not be a Modbus TCP port; plain serial converters want framing: rtu"


@dataclass(slots=True)
class _Asked:
    """A request that is under way; times are those of the event loop."""

    request: Request
    answer: asyncio.Future[Reply]
    begun: float
    until: float


class TcpLink:
    """A connection to one endpoint, opened by itself when a request finds it closed.

    `lax`: the endpoint answers with transaction numbers of its own; then one request at a time, and
    contents alone say whether a frame is the answer.
    """

    def __init__(self, channel: Channel, *, settle_s: float = 0, in_flight: int = 1, lax: bool = False) -> None:
        self.name = channel.name
        self._connection = Connection(channel, self._received, self._lost, settle_s=settle_s)
        self.statistics = self._connection.statistics
        self._lax = lax
        self._room = asyncio.Semaphore(1 if lax else in_flight)
        self._inbox = bytearray()
        self._transaction = random.randrange(1, 0x10000)
        self._asked: dict[int, _Asked] = {}  # by transaction
        self._watch: asyncio.TimerHandle | None = None  # one timer for all that is under way
        self._given_up: dict[int, int] = {}  # transaction: unit id, of the last requests that timed out
        self._rests: dict[int, float] = {}  # by unit: when it last answered
        self._patience: dict[int, Patience] = {}
        self._foreign = 0  # in a row
        self._timed_out_at = 0.0

    async def ask(self, request: Request, timeout_s: float, pause_s: float = 0) -> Reply:
        """Send `request` and await its reply; see `Line.ask`. Raises DeviceError without one."""
        async with self._room:
            if pause_s:
                loop = asyncio.get_running_loop()
                await asyncio.sleep(self._rests.get(request.unit_id, 0.0) + pause_s - loop.time())
            transport = self._connection.transport or await self._connection.opened()
            return await self._exchange(transport, request, timeout_s)

    async def _exchange(self, transport: Transport, request: Request, timeout_s: float) -> Reply:
        loop = asyncio.get_running_loop()
        unit_id = request.unit_id
        self._transaction = transaction = self._transaction % 0xFFFF + 1
        answer: asyncio.Future[Reply] = loop.create_future()
        statistics = self.statistics.unit(unit_id)
        statistics.asked += 1
        patience = self._patience.get(unit_id)
        if patience is None:
            patience = self._patience[unit_id] = Patience(TCP_FLOOR_S)
        allowed_s = patience.timeout_s(timeout_s)
        begun = loop.time()
        self._asked[transaction] = _Asked(request, answer, begun, begun + allowed_s)
        if self._watch is None or self._watch.when() > begun + allowed_s:
            self._watch_until(begun + allowed_s)
        transport.write(tcp_request(transaction, request))
        try:
            reply = await answer
        except asyncio.CancelledError:
            if self._lax:
                self._connection.drop()
                self._inbox.clear()
            raise
        finally:
            self._asked.pop(transaction, None)
            ended = loop.time()
            taken_s = ended - begun
            statistics.busy_s += taken_s
            self.statistics.busy_s += taken_s
        patience.answered(taken_s)
        self._rests[unit_id] = ended
        statistics.answered += 1
        statistics.latencies.append(taken_s)
        if reply.exception:
            statistics.exceptions[reply.exception] += 1
        return reply

    def wait_s(self, unit_id: int) -> float:
        """See `Line.wait_s`; a transaction number tells late replies apart, so that none is waited for."""
        return 0.0

    async def close(self) -> None:
        self._inbox.clear()
        self._connection.drop()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _watch_until(self, when: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        """Give up what is overdue, and look again when the next may be."""
        self._watch = None
        now_s = asyncio.get_running_loop().time()
        waiting = [(transaction, one) for transaction, one in self._asked.items() if not one.answer.done()]
        for transaction, one in waiting:
            if one.until <= now_s and not one.answer.done():
                self._expire(transaction, one, now_s)
        untils = [one.until for _, one in waiting if not one.answer.done()]
        if untils:
            self._watch_until(min(untils))

    def _expire(self, transaction: int, one: _Asked, now_s: float) -> None:
        unit_id, waited_s = one.request.unit_id, now_s - one.begun
        self._patience[unit_id].timed_out()
        statistics = self.statistics.unit(unit_id)
        statistics.timeouts += 1
        statistics.unanswered_s += waited_s
        self._given_up[transaction] = unit_id
        while len(self._given_up) > 64:
            del self._given_up[next(iter(self._given_up))]
        one.answer.set_exception(
            DeviceError(f"no answer from {self.name} unit {unit_id} within {waited_s:.3g} s", hint=SILENT_HINT)
        )
        together = one.begun < self._timed_out_at  # with one that was counted already
        self._timed_out_at = now_s
        if (not together and self._connection.unanswered()) or self._lax:
            # Without its number a late reply could not be told from the next one's.
            self._connection.drop()
            self._inbox.clear()
            self._fail(DeviceError(f"{self.name} has stopped answering", hint=SILENT_HINT))

    def _received(self, data: bytes) -> None:
        self._inbox += data
        try:
            while (frame := take_tcp_frame(self._inbox)) is not None:
                self._take(frame)
                if self._foreign > FOREIGN_MAX:
                    raise CodecError("frames without end that answer nothing")
        except CodecError as error:
            self._inbox.clear()
            self._foreign = 0
            self._connection.drop()
            self._fail(DeviceError(f"{self.name}: {error}", hint=FRAMING_HINT))

    def _take(self, frame: bytes) -> None:
        transaction = int.from_bytes(frame[:2])
        if self._lax and self._asked:
            transaction = next(iter(self._asked))
        if transaction in self._asked:
            one = self._asked[transaction]
            reply = tcp_reply(frame, one.request)
            if reply is not None and not one.answer.done():
                self._foreign = 0
                one.answer.set_result(reply)
                return
        self._foreign += 1
        unit_id = self._given_up.pop(transaction, None)
        if unit_id is not None:
            self.statistics.unit(unit_id).late += 1
        else:
            self.statistics.unit(frame[6]).foreign += 1

    def _lost(self) -> None:
        self._inbox.clear()
        self._fail(self._connection.closed())

    def _fail(self, error: DeviceError) -> None:
        """No answer will come to what is under way."""
        for one in self._asked.values():
            if not one.answer.done():
                one.answer.set_exception(error)
