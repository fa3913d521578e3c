"""Captures: every byte of a conversation, kept in bounds, and a device made of them."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus.capture import CaptureFile, Header, Piece, read_capture
from drivers.bus.channel import SerialChannel, TcpChannel
from drivers.bus.overhear import listen, relay
from drivers.bus.tap import Direction, TappedChannel
from drivers.modbus.frames import tcp_request
from drivers.modbus.requests import Read, Reply, WriteOne, words_of
from drivers.modbus.rtu import RtuLink, rtu_line
from drivers.modbus.tcp import TcpLink
from drivers.simulator.farm import Farm, SimulatedBus, SimulatedDevice
from drivers.simulator.image import Image
from drivers.simulator.replay import Answer, Exchange, Replay, exchanges
from drivers.simulator.replaying import Replaying
from gateway.core.clock import SystemClock
from gateway.core.errors import ConfigError, DeviceError
from tests.drivers.ptyline import pty_line, rtu

NEVER_S = 1000.0
RTU, TCP = Header("here", "rtu"), Header("here", "tcp")
IMAGE = Image(1, {"holding": {at: 100 + at for at in range(10)}})


class Kept:
    """A sink that keeps what it hears, and says when."""

    def __init__(self) -> None:
        self.pieces: list[tuple[Direction, bytes]] = []
        self.more = asyncio.Event()

    def took(self, direction: Direction, data: bytes) -> None:
        self.pieces.append((direction, data))
        self.more.set()

    def all(self, direction: Direction) -> bytes:
        return b"".join(data for way, data in self.pieces if way == direction)


def pieces(*said: tuple[Direction, bytes]) -> list[Piece]:
    """One each 10 ms."""
    return [Piece(10 * at, direction, data) for at, (direction, data) in enumerate(said)]


def ask(address: int, count: int = 1) -> bytes:
    return Read(1, 3, address, count).pdu


def good(*words: int) -> bytes:
    return bytes([3, 2 * len(words)]) + words_of(words)


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_a_tapped_channel_hears_all_and_the_replay_answers_as_the_device_did(
    framing: str, tmp_path: Path
) -> None:
    requests = [Read(1, 3, 0, 4), Read(1, 3, 8, 2), Read(1, 3, 20, 1), WriteOne(1, 6, 0, 5)]
    file = CaptureFile(tmp_path / "c", TCP if framing == "tcp" else RTU, SystemClock())
    async with Farm([SimulatedBus("bus", (SimulatedDevice("d", 1, IMAGE),), framing=framing)]) as farm:  # type: ignore[arg-type]
        channel = TappedChannel(TcpChannel("127.0.0.1", farm.ports["bus"]), file)
        link = TcpLink(channel) if framing == "tcp" else RtuLink(rtu_line(channel))
        then = [await link.ask(request, NEVER_S) for request in requests]
        await link.close()
    file.close()
    replay = Replay(exchanges(*read_capture(tmp_path / "c")))
    async with Replaying(replay, framing).on_tcp() as port:  # type: ignore[arg-type]
        channel_now = TcpChannel("127.0.0.1", port)
        now_link = TcpLink(channel_now) if framing == "tcp" else RtuLink(rtu_line(channel_now))
        assert [await now_link.ask(request, NEVER_S) for request in requests] == then
        assert (await now_link.ask(Read(1, 3, 2, 2), NEVER_S)).words == words_of([102, 103])  # out of what was seen
        assert await now_link.ask(Read(1, 3, 3, 3), NEVER_S) == Reply(exception=2)  # 4 was never read
        with pytest.raises(DeviceError, match="no answer"):
            await now_link.ask(Read(2, 3, 0, 1), 0.05)
        await now_link.close()


async def test_a_replay_on_a_pseudo_terminal_is_a_serial_device() -> None:
    replay = Replay([Exchange(1, ask(0), Answer(good(7)))])
    async with Replaying(replay, "rtu").on_pty() as name:
        link = RtuLink(rtu_line(SerialChannel(name, 9600)))
        assert (await link.ask(Read(1, 3, 0, 1), NEVER_S)).words == words_of([7])
        await link.close()


def test_answers_to_one_request_come_in_their_order_then_the_last_for_ever() -> None:
    answers = [Answer(good(1)), Answer(), Answer(good(2))]
    replay = Replay([Exchange(1, ask(0), answer) for answer in answers])
    assert [replay.answer(1, ask(0)) for _ in range(5)] == [*answers, answers[-1], answers[-1]]


def test_bits_are_answered_from_what_was_seen_too() -> None:
    replay = Replay([Exchange(1, Read(1, 1, 8, 10).pdu, Answer(b"\1\2\x05\x02"))])
    assert replay.answer(1, Read(1, 1, 10, 8).pdu).pdu == b"\1\1\x81"
    assert replay.answer(1, Read(1, 1, 17, 2).pdu).pdu == b"\x81\2"
    assert replay.answer(1, WriteOne(1, 6, 0, 0).pdu).pdu == b"\x86\1"


def test_what_was_garbled_on_a_line_is_garbled_again_and_silence_is_silence() -> None:
    said = pieces(
        (">", rtu(1, ask(0))), ("<", b"\1\3\2\0"), ("<", b"\xff\xff\xff"),
        (">", rtu(1, ask(1))), (">", rtu(1, ask(2))), ("<", rtu(2, good(9)) + rtu(1, good(5)) + b"\0"),
    )  # fmt: skip
    assert exchanges(RTU, said) == [
        Exchange(1, ask(0), Answer(garbled=b"\1\3\2\0\xff\xff\xff", latency_ms=20)),
        Exchange(1, ask(1), Answer()),
        Exchange(1, ask(2), Answer(good(5), latency_ms=10)),
    ]


def test_replies_on_tcp_are_tied_to_their_requests_however_they_are_cut_and_crossed() -> None:
    one, two, three = (tcp_request(number, Read(1, 3, number, 1)) for number in (1, 2, 3))
    replies = [number.to_bytes(2) + b"\0\0\0\5\1" + good(number) for number in (2, 1)]
    joined = b"".join(replies)
    said = pieces((">", one + two[:5]), (">", two[5:]), ("<", joined[:9]), (">", three), ("<", joined[9:]))
    assert [(exchange.request, exchange.answer.pdu) for exchange in exchanges(TCP, said)] == [
        (ask(1), good(1)), (ask(2), good(2)), (ask(3), b""),
    ]  # fmt: skip


def test_a_line_that_was_only_listened_to_is_told_apart_into_requests_and_replies() -> None:
    stream = rtu(1, ask(0, 2)) + rtu(1, good(1, 2)) + rtu(2, ask(0)) + rtu(1, ask(5)) + b"\x55" + rtu(1, b"\x83\2")
    said = [Piece(at, "<", stream[at : at + 3]) for at in range(0, len(stream), 3)]
    found = exchanges(Header("line", "rtu", listened=True), said)
    assert [(exchange.unit_id, exchange.request, exchange.answer.pdu) for exchange in found] == [
        (1, ask(0, 2), good(1, 2)), (2, ask(0), b""), (1, ask(5), b"\x83\2"),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from((">", "<")), st.binary(max_size=30)), max_size=20))
def test_whatever_was_captured_can_be_looked_at(said: list[tuple[Direction, bytes]]) -> None:
    for header in (RTU, TCP, Header("line", "rtu", listened=True)):
        Replay(exchanges(header, pieces(*said)))


async def test_listening_on_a_line_keeps_all_and_sends_nothing() -> None:
    async with pty_line({1: IMAGE}) as line:
        kept = Kept()
        task = asyncio.create_task(listen(SerialChannel(line.name, 115200), kept))
        while not kept.pieces:  # until the port is open; what was said before is gone
            line.say(rtu(1, ask(0)))
            await asyncio.wait([asyncio.create_task(kept.more.wait())], timeout=0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert kept.all("<").startswith(rtu(1, ask(0)))
        assert (kept.all(">"), line.asked) == (b"", [])


async def test_between_a_master_and_a_device_all_passes_and_is_kept() -> None:
    kept = Kept()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with Farm([SimulatedBus("bus", (SimulatedDevice("d", 1, IMAGE),))]) as farm:
        between = asyncio.create_task(relay(TcpChannel("127.0.0.1", farm.ports["bus"]), kept, ready.set_result))
        port = int((await ready).rpartition(":")[2])
        for _ in range(2):  # the second master comes when the first has gone
            link = TcpLink(TcpChannel("127.0.0.1", port))
            assert (await link.ask(Read(1, 3, 0, 2), NEVER_S)).words == words_of([100, 101])
            await link.close()
        between.cancel()
        await asyncio.gather(between, return_exceptions=True)
    assert len(kept.all(">")) == 2 * 12
    assert len(kept.all("<")) == 2 * 13


def test_a_capture_stays_within_its_size_and_the_newest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "c"
    file = CaptureFile(path, RTU, SystemClock(), size_max=4000)
    for number in range(500):
        file.took(">", number.to_bytes(2))
        assert sum(one.stat().st_size for one in tmp_path.iterdir()) <= 4000
    file.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["c", "c.1"]
    _, newest = read_capture(path)
    _, before = read_capture(tmp_path / "c.1")
    numbers = [int.from_bytes(piece.data) for piece in before + newest]
    assert numbers == list(range(numbers[0], 500))


def test_a_capture_that_is_there_already_is_kept_when_a_new_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "c"
    for byte in (b"\1", b"\2"):
        file = CaptureFile(path, RTU, SystemClock())
        file.took("<", byte)
        file.close()
    assert [piece.data for name in ("c.1", "c") for piece in read_capture(tmp_path / name)[1]] == [b"\1", b"\2"]


@pytest.mark.parametrize("name", ["c", "c.1"])
def test_what_is_no_capture_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("buses: []\n")
    with pytest.raises(ConfigError, match=f"{name} is there already, and is no capture"):
        CaptureFile(tmp_path / "c", RTU, SystemClock())
    assert [one.read_text() for one in tmp_path.iterdir()] == ["buses: []\n"]


def test_a_file_that_cannot_be_put_aside_ends_the_capture_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "c"
    file = CaptureFile(path, RTU, SystemClock(), size_max=400)
    (tmp_path / "c.1").mkdir()
    for _ in range(20):
        file.took(">", b"x")
    file.close()
    assert read_capture(path)[1]


def test_a_last_line_that_was_cut_off_is_left_out_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c"
    file = CaptureFile(path, RTU, SystemClock())
    file.took("<", b"\1\2")
    file.close()
    whole = path.read_text()
    path.write_text(whole + '{"t":1,"dir"')
    assert [piece.data for piece in read_capture(path)[1]] == [b"\1\2"]
    path.write_text(whole + '{"t":1,"dir":"?","hex":""}\n' + whole.splitlines()[1])
    with pytest.raises(ConfigError, match="c:3: not a piece"):
        read_capture(path)
    for endless in ('"t":1e999', '"t":' + "[" * 100_000):
        path.write_text(whole + "{" + endless + ',"dir":"<","hex":""}\n' + whole.splitlines()[1])
        with pytest.raises(ConfigError, match="c:3: not a piece"):
            read_capture(path)
    for version, said in (('"1"', "version '1';"), ("2", "version 2;")):
        path.write_text(whole.replace('"holdfast_capture": 1', f'"holdfast_capture": {version}'))
        with pytest.raises(ConfigError, match=said):
            read_capture(path)
    other = whole.replace('"framing": "rtu"', '"framing": "x"')
    for wrong in ("", "[]", json.dumps({"t": 1}), "\xff", "[" * 100_000, other):
        path.write_text(wrong, encoding="latin-1")
        with pytest.raises(ConfigError):
            read_capture(path)
