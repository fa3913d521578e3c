"""A bus on TCP: one conversation at a time with the devices behind one endpoint."""

import asyncio
import errno
import random

from drivers.modbus.frames import find_rtu_reply, rtu_request, take_tcp_frame, tcp_reply, tcp_request
from drivers.modbus.requests import Reply, Request
from gateway.core.errors import CodecError, DeviceError

CONNECT_S = 5.0
UNANSWERED_MAX = 3  # timeouts in a row; then the connection may be one that the peer no longer knows
RTU_INBOX_MAX = 4096  # noise beyond this is thrown away; a frame has at most 256 bytes
CLOSED_HINT = "it may serve only one client, or restart just now"


class TcpLink(asyncio.Protocol):
    """Modbus over a TCP connection, framed as Modbus TCP or, for serial converters, as RTU.

    Connects by itself when a request finds it closed. One request at a time: the task that owns
    the bus awaits each reply before it sends the next.
    """

    def __init__(self, host: str, port: int, framing: str, *, settle_s: float = 0) -> None:
        self.name = f"{host}:{port}"
        self.late_replies = 0  # frames that answered nothing that was asked
        self._address = host, port
        self._rtu = framing == "rtu"
        self._settle_s = settle_s
        self._transport: asyncio.Transport | None = None
        self._inbox = bytearray()
        self._transaction = random.randrange(1, 0x10000)
        self._asked: tuple[int, Request, asyncio.Future[Reply]] | None = None
        self._quarantine: dict[int, float] = {}  # by unit id: until (loop time)
        self._unanswered = 0  # timeouts since anything came

    async def ask(self, request: Request, timeout_s: float) -> Reply:
        """Send `request` and await its reply. Raises DeviceError without one within `timeout_s`."""
        await self._sit_out(request)
        transport = self._transport or await self._connect()
        self._inbox.clear()  # whatever is there came before the question
        self._transaction = self._transaction % 0xFFFF + 1
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()
        self._asked = self._transaction, request, reply
        transport.write(rtu_request(request) if self._rtu else tcp_request(self._transaction, request))
        timer = loop.call_later(timeout_s, self._expire, request, reply, timeout_s)
        try:
            return await reply
        finally:
            timer.cancel()
            self._asked = None

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def _connect(self) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                transport, _ = await loop.create_connection(lambda: self, *self._address)
        except (OSError, TimeoutError) as error:
            raise DeviceError(f"{self.name}: {_in_words(error)}", hint="check its power, cable and address") from error
        self._transport = transport
        await asyncio.sleep(self._settle_s)
        if transport.is_closing():
            raise DeviceError(f"{self.name} closed the connection", hint=CLOSED_HINT)
        return transport

    async def _sit_out(self, request: Request) -> None:
        """On a serial line, let a late reply of this unit pass before asking it again.

        An RTU reply carries nothing that tells which request it answers: after a timeout the next
        request to the same unit waits until the late one can no longer come. Others go at once.
        """
        until = self._quarantine.pop(request.unit_id, None)
        if until is not None:
            await asyncio.sleep(until - asyncio.get_running_loop().time())

    def _expire(self, request: Request, reply: asyncio.Future[Reply], timeout_s: float) -> None:
        if self._rtu:
            self._quarantine[request.unit_id] = asyncio.get_running_loop().time() + 2 * timeout_s
        if not reply.done():
            reply.set_exception(
                DeviceError(
                    f"no answer from {self.name} unit {request.unit_id} within {timeout_s:g} s",
                    hint="check the unit id, the wiring and that the device is on",
                )
            )
        self._unanswered += 1
        if self._unanswered >= UNANSWERED_MAX and self._transport is not None:
            self._unanswered = 0
            self._transport.abort()
            self._transport = None

    def data_received(self, data: bytes) -> None:
        self._unanswered = 0
        self._inbox += data
        if self._asked is None:
            del self._inbox[:-RTU_INBOX_MAX]
            return
        transaction, request, awaited = self._asked
        try:
            reply, foreign = self._find(transaction, request)
        except CodecError as error:
            self._fail(f"{self.name}: {error}", "this may not be a Modbus TCP port; RTU converters want framing: rtu")
            return
        self.late_replies += foreign
        if reply is not None and not awaited.done():
            awaited.set_result(reply)

    def _find(self, transaction: int, request: Request) -> tuple[Reply | None, int]:
        if not self._rtu:
            foreign = 0
            while (frame := take_tcp_frame(self._inbox)) is not None:
                reply = tcp_reply(frame, request) if int.from_bytes(frame[:2]) == transaction else None
                if reply is not None:
                    return reply, foreign
                foreign += 1
            return None, foreign
        reply = find_rtu_reply(bytes(self._inbox), request)
        del self._inbox[:-RTU_INBOX_MAX]
        return reply, 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(f"{self.name} closed the connection", CLOSED_HINT)

    def _fail(self, message: str, hint: str) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        if self._asked is not None and not self._asked[2].done():
            self._asked[2].set_exception(DeviceError(message, hint=hint))


def _in_words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_S:g} s"
    code = getattr(error, "errno", None)
    if code == errno.ECONNREFUSED:
        return "refuses the connection"
    return getattr(error, "strerror", None) or str(error)
