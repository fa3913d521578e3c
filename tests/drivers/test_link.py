"""The link against peers that misbehave, and against libmodbus."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from drivers.bus.channel import TcpChannel
from drivers.bus.connection import UNANSWERED_MAX
from drivers.modbus.frames import crc
from drivers.modbus.requests import Read, Reply
from drivers.modbus.rtu import RtuLink, rtu_line
from drivers.modbus.tcp import TcpLink
from gateway.core.errors import DeviceError

ASK = Read(1, 3, 0, 2)
GOOD = b"\x03\x04\0\1\0\2"
WRONG = b"\x03\x04\x7f\xff\x7f\xff"
NEVER_S = 1000.0  # a timeout that would make the test fail by its own
Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes([unit]) + pdu
    return frame + crc(frame)


def answer_to(request: bytes, pdu: bytes, *, skew: int = 0) -> bytes:
    """A Modbus TCP frame that answers `request`; `skew` makes the transaction another one."""
    transaction = (int.from_bytes(request[:2]) + skew) & 0xFFFF
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + request[6:7] + pdu


@asynccontextmanager
async def peer(script: Script, framing: str = "tcp") -> AsyncIterator[TcpLink | RtuLink]:
    """A server that does as `script` says with each request, and a link to it."""

    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while request := await reader.read(300):
                await script(request, writer)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    channel = TcpChannel("127.0.0.1", server.sockets[0].getsockname()[1])
    link = RtuLink(rtu_line(channel)) if framing == "rtu" else TcpLink(channel)
    async with server:
        yield link
        await link.close()
        await asyncio.gather(*(task for task in serving if task))


@pytest.mark.parametrize(
    "before",
    [
        lambda request: answer_to(request, WRONG, skew=1),
        lambda request: answer_to(request, b"\x04\x04\x7f\xff\x7f\xff"),
        lambda request: answer_to(request, b"\x03\x02\x7f\xff"),
        lambda request: answer_to(request, b"\x77\x00"),
    ],
    ids=["another transaction", "another function", "another count", "an unknown function"],
)
async def test_what_answers_something_else_is_passed_over(before: Callable[[bytes], bytes]) -> None:
    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(before(request) + answer_to(request, GOOD))

    async with peer(script) as link:
        assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]
        assert sum(unit.foreign for unit in link.statistics.units.values()) == 1


@pytest.mark.parametrize(
    "frame",
    [b"\0" + rtu(1, GOOD), b"\xff\xff" + rtu(1, GOOD), rtu(2, WRONG) + rtu(1, GOOD)],
    ids=["a zero ahead", "noise ahead", "a foreign unit in front"],
)
async def test_an_rtu_reply_is_taken_out_of_what_surrounds_it(frame: bytes) -> None:
    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(frame)

    async with peer(script, "rtu") as link:
        for _ in range(3):
            assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_a_reply_that_comes_twice_does_not_answer_the_next_request(framing: str) -> None:
    values = iter(range(100))

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        pdu = b"\3\4\0\0" + next(values).to_bytes(2)
        writer.write((rtu(1, pdu) if framing == "rtu" else answer_to(request, pdu)) * 2)

    async with peer(script, framing) as link:
        assert [(await link.ask(ASK, NEVER_S)).words[-1] for _ in range(4)] == [0, 1, 2, 3]


@pytest.mark.P7
async def test_a_peer_that_closes_fails_the_request_at_once_and_is_connected_again() -> None:
    seen: list[bytes] = []

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        if len(seen) == 1:
            writer.close()
        else:
            writer.write(answer_to(request, GOOD))

    async with peer(script) as link:
        with pytest.raises(DeviceError, match="closed the connection"):
            await link.ask(ASK, NEVER_S)
        assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]


async def test_a_peer_that_closes_before_it_was_asked_is_known_at_once() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        link = TcpLink(TcpChannel("127.0.0.1", server.sockets[0].getsockname()[1]), settle_s=0.05)
        with pytest.raises(DeviceError, match="closed the connection"):
            await link.ask(ASK, NEVER_S)


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_a_connection_on_which_nothing_comes_any_more_is_made_anew(framing: str) -> None:
    seen: list[object] = []

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername"))
        if len(seen) > UNANSWERED_MAX:
            writer.write(rtu(1, GOOD) if framing == "rtu" else answer_to(request, GOOD))

    async with peer(script, framing) as link:
        for _ in range(UNANSWERED_MAX):
            with pytest.raises(DeviceError, match="no answer"):
                await link.ask(ASK, 0.05)
        assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]
    assert [client == seen[0] for client in seen] == [True] * UNANSWERED_MAX + [False]


async def test_a_late_tcp_reply_never_answers_the_next_request() -> None:
    seen: list[bytes] = []

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        if len(seen) > 1:
            writer.write(answer_to(seen[0], WRONG) + answer_to(request, GOOD))

    async with peer(script) as link:
        with pytest.raises(DeviceError, match="no answer"):
            await link.ask(ASK, 0.05)
        assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]
        assert link.statistics.unit(1).late == 1


async def test_a_late_rtu_reply_never_answers_the_next_request() -> None:
    """The first request is answered only when the second comes; both look alike on the wire."""
    seen: list[bytes] = []
    late = asyncio.Event()

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        if len(seen) == 1:
            await late.wait()
            writer.write(rtu(1, WRONG))  # within the quarantine of the line
        else:
            writer.write(rtu(1, GOOD))

    async with peer(script, "rtu") as link:
        with pytest.raises(DeviceError, match="no answer"):
            await link.ask(ASK, 0.05)
        late.set()
        assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]


async def test_each_silent_unit_of_an_rtu_line_has_a_quarantine_of_its_own() -> None:
    seen: list[bytes] = []
    late = asyncio.Event()

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        if len(seen) == 1:
            await late.wait()
            writer.write(rtu(1, WRONG))
        elif request[-8] == 1:
            writer.write(rtu(1, GOOD))

    async with peer(script, "rtu") as link:
        for unit_id, timeout_s in ((1, 0.2), (2, 0.02)):
            with pytest.raises(DeviceError, match="no answer"):
                await link.ask(replace(ASK, unit_id=unit_id), timeout_s)
        late.set()
        assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]


async def test_a_quarantine_does_not_hold_up_other_units() -> None:
    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(rtu(1, GOOD))

    async with peer(script, "rtu") as link:
        assert isinstance(link, RtuLink)
        link.line._quarantine[2] = asyncio.get_running_loop().time() + NEVER_S
        assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]


async def test_a_refused_connection_says_so_in_words() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    with pytest.raises(DeviceError, match="refuses the connection"):
        await TcpLink(TcpChannel("127.0.0.1", port)).ask(ASK, NEVER_S)


async def test_what_is_no_modbus_is_named_and_the_connection_given_up() -> None:
    seen: list[object] = []

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername"))
        writer.write(b"SSH-2.0-OpenSSH_9.2 hello\r\n")

    async with peer(script) as link:
        for _ in range(2):
            with pytest.raises(DeviceError, match="not Modbus TCP"):
                await link.ask(ASK, NEVER_S)
    assert len(set(seen)) == 2


async def test_libmodbus_gives_us_what_it_gives_pymodbus(libmodbus: Path) -> None:
    process = await asyncio.create_subprocess_exec(libmodbus, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    try:
        link = TcpLink(TcpChannel("127.0.0.1", port))
        ours = [await link.ask(Read(1, function, 500, 125), NEVER_S) for function in (3, 4)]
        refused = await link.ask(Read(1, 3, 65000, 125), NEVER_S)
        await link.close()
        theirs = AsyncModbusTcpClient("127.0.0.1", port=port)
        await theirs.connect()
        reference = await theirs.read_holding_registers(500, count=125, device_id=1)
        theirs.close()
    finally:
        process.kill()
        await process.wait()
    expected = b"".join(word.to_bytes(2) for word in reference.registers)
    assert [reply.words for reply in ours] == [expected, expected]
    assert expected == b"".join(address.to_bytes(2) for address in range(500, 625))
    assert refused == Reply(exception=2)


async def test_an_endpoint_with_transaction_numbers_of_its_own_is_understood_where_the_profile_says_so() -> None:
    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer_to(request, GOOD, skew=1))

    async with peer(script) as strict:
        with pytest.raises(DeviceError, match="no answer"):
            await strict.ask(ASK, 0.05)
        lax = TcpLink(TcpChannel(*strict._connection._channel._address), lax=True)
        assert (await lax.ask(ASK, NEVER_S)).words == GOOD[2:]
        await lax.close()


@pytest.mark.parametrize("in_flight", [1, 3])
async def test_so_many_requests_are_under_way_on_one_connection_as_the_device_can_take(in_flight: int) -> None:
    waiting: list[tuple[bytes, asyncio.StreamWriter]] = []
    most: list[int] = []
    clients: set[object] = set()

    async def script(data: bytes, writer: asyncio.StreamWriter) -> None:
        clients.add(writer.get_extra_info("peername"))
        waiting.extend((data[at : at + 12], writer) for at in range(0, len(data), 12))
        most.append(len(waiting))
        if len(waiting) == in_flight:
            for request, asker in reversed(waiting):  # answered in another order than asked
                asker.write(answer_to(request, b"\3\4\0\0" + request[8:10]))
            waiting.clear()

    async with peer(script) as strict:
        link = TcpLink(TcpChannel(*strict._connection._channel._address), in_flight=in_flight)
        asks = (link.ask(replace(ASK, address=address), NEVER_S) for address in range(6))
        replies = await asyncio.gather(*asks)
        await link.close()
    assert [reply.words[-1] for reply in replies] == list(range(6))
    assert max(most) == in_flight
    assert len(clients) == 1


async def test_on_tcp_too_a_device_gets_the_pause_that_it_wants() -> None:
    """Seen from the server, which can only see a longer pause than there was."""
    loop, came, went = asyncio.get_running_loop(), [], []

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        came.append(loop.time())
        writer.write(answer_to(request, GOOD))
        went.append(loop.time())

    async with peer(script) as link:
        for _ in range(3):
            await link.ask(ASK, NEVER_S, pause_s=0.05)
    assert all(after - before >= 0.049 for before, after in zip(went, came[1:], strict=False))


async def test_a_lax_endpoint_that_answers_late_never_answers_the_next_request() -> None:
    seen: list[bytes] = []
    askers: list[asyncio.StreamWriter] = []

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        askers.append(writer)
        if len(seen) == 1:
            return
        if askers[0] is writer:  # the late one comes first, where it still can
            writer.write(answer_to(seen[0], WRONG, skew=1))
        writer.write(answer_to(request, GOOD, skew=1))

    async with peer(script) as strict:
        link = TcpLink(TcpChannel(*strict._connection._channel._address), lax=True)
        with pytest.raises(DeviceError, match="no answer"):
            await link.ask(ASK, 0.05)
        assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]
        await link.close()


async def test_a_silent_unit_asked_thrice_at_once_does_not_cost_its_neighbours_the_connection() -> None:
    clients: set[object] = set()

    async def script(data: bytes, writer: asyncio.StreamWriter) -> None:
        clients.add(writer.get_extra_info("peername"))
        for at in range(0, len(data), 12):
            if data[at + 6] == 1:
                writer.write(answer_to(data[at : at + 12], GOOD))

    async with peer(script) as strict:
        link = TcpLink(TcpChannel(*strict._connection._channel._address), in_flight=4)
        silent = (link.ask(replace(ASK, unit_id=9, address=n), 0.05) for n in range(3))
        assert all(isinstance(e, DeviceError) for e in await asyncio.gather(*silent, return_exceptions=True))
        assert (await link.ask(ASK, NEVER_S)).words == GOOD[2:]
        await link.close()
    assert len(clients) == 1


async def test_an_endpoint_that_sends_frames_without_end_is_given_up() -> None:
    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer_to(request, WRONG, skew=1) * 1500)

    async with peer(script) as link:
        with pytest.raises(DeviceError, match="frames without end"):
            await link.ask(ASK, NEVER_S)
