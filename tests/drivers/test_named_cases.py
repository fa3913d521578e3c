"""Misbehaviour with a name: our links take no wrong value and lose no good one; pymodbus's client does.

Each case runs against both. Where pymodbus's client is expected to fail, it must: the day it does
not, the case says so.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType

from drivers.bus.channel import TcpChannel
from drivers.modbus.frames import crc
from drivers.modbus.requests import Read, words_of
from drivers.modbus.rtu import RtuLink, rtu_line
from drivers.modbus.tcp import TcpLink
from gateway.core.errors import DeviceError

TIMEOUT_S = 0.3
GOOD, WRONG = b"\x03\x04\0\1\0\2", b"\x03\x04\x7f\xff\x7f\xff"
Ask = Callable[[], Awaitable[list[int] | None]]
"""Reads two holding registers of unit 1; None where there was no answer."""
Writer = asyncio.StreamWriter
Script = Callable[[int, bytes, Writer], Awaitable[None]]
"""Told how many requests came before, and the request."""


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes([unit]) + pdu
    return frame + crc(frame)


def mbap(request: bytes, pdu: bytes, *, skew: int = 0) -> bytes:
    transaction = (int.from_bytes(request[:2]) + skew) & 0xFFFF
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + b"\1" + pdu


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[int]:
    serving: set[asyncio.Task[None] | None] = set()
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        nonlocal asked
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while request := await reader.read(300):
                asked += 1
                await script(asked - 1, request, writer)
            writer.close()
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with listening:
            yield listening.sockets[0].getsockname()[1]
    finally:
        await asyncio.gather(*(task for task in serving if task))


@asynccontextmanager
async def ours(port: int, framing: str, timeout_s: float) -> AsyncIterator[Ask]:
    channel = TcpChannel("127.0.0.1", port)
    link = RtuLink(rtu_line(channel)) if framing == "rtu" else TcpLink(channel)

    async def ask() -> list[int] | None:
        try:
            words = (await link.ask(Read(1, 3, 0, 2), timeout_s)).words
        except DeviceError:
            return None
        return [int.from_bytes(words[at : at + 2]) for at in range(0, len(words), 2)]

    try:
        yield ask
    finally:
        await link.close()


@asynccontextmanager
async def pymodbuss(port: int, framing: str, timeout_s: float) -> AsyncIterator[Ask]:
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    framer = FramerType.RTU if framing == "rtu" else FramerType.SOCKET
    client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=framer, timeout=timeout_s, retries=0)
    await client.connect()

    async def ask() -> list[int] | None:
        try:
            answer = await client.read_holding_registers(0, count=2, device_id=1)
        except ModbusException:
            return None
        return None if answer.isError() else answer.registers

    try:
        yield ask
    finally:
        client.close()


async def late_reply(asked: int, request: bytes, writer: Writer) -> None:
    """The first answer comes a little after its time."""
    if asked == 0:
        await asyncio.sleep(TIMEOUT_S + 0.1)
        writer.write(rtu(1, WRONG))
    else:
        writer.write(rtu(1, GOOD))


def always(frames: Callable[[bytes], bytes]) -> Script:
    async def script(asked: int, request: bytes, writer: Writer) -> None:
        writer.write(frames(request))

    return script


async def close_in_flight(asked: int, request: bytes, writer: Writer) -> None:
    if asked == 0:
        writer.close()
    else:
        writer.write(mbap(request, GOOD))


def twice() -> Script:
    async def script(asked: int, request: bytes, writer: Writer) -> None:
        reply = rtu(1, b"\x03\x04" + words_of([asked, asked]))
        writer.write(reply)
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(reply)

    return script


PEER = {
    "a late reply for the same unit and count": ("rtu", late_reply, [None, [1, 2]]),
    "a reply of another function": (
        "rtu", always(lambda request: rtu(1, b"\x04" + WRONG[1:]) + rtu(1, GOOD)), [[1, 2]]
    ),
    "a reply of another function on TCP": (
        "tcp", always(lambda request: mbap(request, b"\x04" + WRONG[1:]) + mbap(request, GOOD)), [[1, 2]]
    ),
    "a reply of another count": (
        "rtu", always(lambda request: rtu(1, b"\x03\x02\x7f\xff") + rtu(1, GOOD)), [[1, 2]]
    ),
    "one noise byte ahead": ("rtu", always(lambda request: b"\xff" + rtu(1, GOOD)), [[1, 2]]),
    "a foreign unit's frame glued in front": (
        "rtu", always(lambda request: rtu(2, WRONG) + rtu(1, GOOD)), [[1, 2]]
    ),
    "a reply with another transaction id": (
        "tcp", always(lambda request: mbap(request, WRONG, skew=1) + mbap(request, GOOD)), [[1, 2]]
    ),
    "the peer closing while a request is in flight": ("tcp", close_in_flight, [None, [1, 2]]),
    "an unknown function code": (
        "tcp", always(lambda request: mbap(request, b"\x77\x00") + mbap(request, GOOD)), [[1, 2]]
    ),
    "the same reply twice": ("rtu", twice(), [[0, 0], [1, 1], [2, 2]]),
}  # fmt: skip
CLIENTS = {"ours": ours, "pymodbus": pymodbuss}
SURVIVED_BY_PYMODBUS = {"a reply with another transaction id", "the same reply twice"}
FAILS_AT_ONCE = "the peer closing while a request is in flight"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("case", PEER)
async def test_a_named_misbehaviour(case: str, client: str, request: pytest.FixtureRequest) -> None:
    if client == "pymodbus" and case not in SURVIVED_BY_PYMODBUS:
        request.applymarker(pytest.mark.xfail(strict=True, reason="why the client is our own"))
    framing, script, expected = PEER[case]
    timeout_s = 1000 if case == FAILS_AT_ONCE else TIMEOUT_S  # who waits for a timeout then waits in vain
    async with server(script) as port, CLIENTS[client](port, framing, timeout_s) as ask, asyncio.timeout(5):
        got = [await ask() for _ in expected]
    assert got == expected
