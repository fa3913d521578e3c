"""A lock board behind a converter: polled, opened with one pulse, and never with a second (P8)."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers.bus.channel import SerialChannel, TcpChannel
from drivers.bus.line import Line
from drivers.locks.board import LockBoard
from drivers.locks.frames import BoardState, frames_in, state_frame
from drivers.locks.simulator import SimulatedBoard, SimulatedLine
from drivers.modbus.frames import RtuQuestion, crc, rtu_frames, rtu_request
from drivers.modbus.requests import Read
from gateway.core.clock import SystemClock
from gateway.core.errors import ConfigError, DeviceError
from gateway.core.model import readings_of

METER = Read(17, 3, 0, 2)
FOREIGN = rtu_request(METER) + b"\x02\x03" + state_frame(1, BoardState(0, 0))


@asynccontextmanager
async def line_with(simulated: SimulatedBoard, *, noise: bytes = b"") -> AsyncIterator[Line]:
    """A line with `simulated` as board 0, and another as board 1."""
    async with SimulatedLine({0: simulated, 1: SimulatedBoard()}, noise=noise).on_tcp() as port:
        line = Line(TcpChannel("127.0.0.1", port), frames_in)
        try:
            yield line
        finally:
            await line.close()


def board_on(line: Line, *, open_within_s: float = 0.2, timeout_s: float = 0.2) -> LockBoard:
    return LockBoard("lockers", line, SystemClock(), timeout_s=timeout_s, open_within_s=open_within_s)


async def words_of(board: LockBoard) -> dict[str, str]:
    taken = await board.read("live")
    assert taken is not None
    return {reading.key: reading.words for reading in readings_of(*taken)}


async def test_hooks_and_sensors_are_points_with_words() -> None:
    simulated = SimulatedBoard()
    simulated.hooks = 0b1
    simulated.sensors = 0b10
    async with line_with(simulated, noise=FOREIGN) as line:
        words = await words_of(board_on(line))
    assert len(words) == 32
    assert (words["lock_1"], words["lock_2"], words["lock_16"]) == ("closed", "open", "open")
    assert (words["sensor_1"], words["sensor_2"]) == ("clear", "blocked")


async def test_switches_that_are_wired_the_other_way_are_read_the_other_way() -> None:
    simulated = SimulatedBoard()
    simulated.hooks = 0b1
    async with line_with(simulated) as line:
        board = LockBoard("lockers", line, SystemClock(), closed_bit=0)
        words = await words_of(board)
        assert (words["lock_1"], words["lock_2"]) == ("open", "closed")
        assert (await board.unlock(1)).words == "lock 1 was open already; no pulse was sent"


@pytest.mark.P8
@pytest.mark.parametrize("answers", [False, True], ids=["silent to pulses", "answers pulses"])
async def test_a_lock_opens_with_one_pulse_and_success_is_what_its_hook_says(answers: bool) -> None:
    simulated = SimulatedBoard()
    simulated.answers_pulses = answers
    simulated.slow_reads = 1
    async with line_with(simulated, noise=FOREIGN) as line:
        board = board_on(line, open_within_s=5)
        outcome = await board.unlock(7)
        assert (outcome.result, simulated.pulses) == ("verified", [7])
        assert (await words_of(board))["lock_7"] == "open"
        simulated.close(7)
        assert (await words_of(board))["lock_7"] == "closed"


@pytest.mark.P8
async def test_an_open_lock_gets_no_pulse() -> None:
    simulated = SimulatedBoard()
    simulated.hooks = 0
    async with line_with(simulated) as line:
        outcome = await board_on(line).unlock(7)
    assert (outcome.result, simulated.pulses) == ("verified", [])
    assert "open already" in outcome.words


@pytest.mark.P8
async def test_two_who_open_the_same_lock_at_once_send_one_pulse() -> None:
    simulated = SimulatedBoard()
    async with line_with(simulated) as line:
        board = board_on(line)
        outcomes = await asyncio.gather(board.unlock(7), board.unlock(7))
    assert [outcome.result for outcome in outcomes] == ["verified", "verified"]
    assert simulated.pulses == [7]


@pytest.mark.P8
async def test_a_hook_that_does_not_move_is_a_failure_after_one_pulse() -> None:
    simulated = SimulatedBoard()
    simulated.stuck = {7}
    async with line_with(simulated) as line:
        outcome = await board_on(line).unlock(7)
    assert (outcome.result, simulated.pulses) == ("failed", [7])
    assert "still closed" in outcome.words


@pytest.mark.P8
async def test_a_board_that_stays_busy_behind_the_pulse_is_woken_and_read() -> None:
    simulated = SimulatedBoard()
    simulated.busy_behind_pulse = True
    async with line_with(simulated) as line:
        outcome = await board_on(line).unlock(7)
    assert (outcome.result, simulated.pulses, simulated.wakes) == ("verified", [7], 1)


@pytest.mark.P8
async def test_silence_behind_the_pulse_is_unknown_and_the_pulse_is_not_sent_again() -> None:
    simulated = SimulatedBoard()
    simulated.on_pulse = lambda lock: setattr(simulated, "silent", True)
    async with line_with(simulated) as line:
        outcome = await board_on(line).unlock(7)
    assert (outcome.result, simulated.pulses) == ("unknown", [7])
    assert "could not be read" in outcome.words


@pytest.mark.P8
async def test_no_pulse_is_sent_to_a_board_whose_hook_cannot_be_read() -> None:
    simulated = SimulatedBoard()
    simulated.silent = True
    async with line_with(simulated) as line:
        outcome = await board_on(line).unlock(7)
        simulated.silent = False
        await board_on(line).read("live")
    assert (outcome.result, simulated.pulses) == ("failed", [])
    assert "no pulse was sent" in outcome.words


@pytest.mark.P8
async def test_a_cancelled_opening_sends_nothing_more() -> None:
    simulated = SimulatedBoard()
    pulsed = asyncio.Event()
    simulated.on_pulse = lambda lock: pulsed.set()
    async with line_with(simulated) as line:
        board = board_on(line)
        opening = asyncio.create_task(board.unlock(7))
        await pulsed.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        outcome = await board_on(line).unlock(7)
    assert (outcome.result, simulated.pulses) == ("verified", [7])


@pytest.mark.P8
async def test_a_command_that_expires_while_the_hook_is_read_sends_no_pulse() -> None:
    async def expired() -> None:
        raise TimeoutError

    simulated = SimulatedBoard()
    async with line_with(simulated) as line:
        with pytest.raises(TimeoutError):
            await board_on(line).unlock(7, before_pulse=expired)
        await board_on(line).read("live")
    assert simulated.pulses == []


@pytest.mark.parametrize("lock", [0, 17])
async def test_a_lock_that_no_board_has_is_refused_in_words(lock: int) -> None:
    simulated = SimulatedBoard()
    async with line_with(simulated) as line:
        outcome = await board_on(line).unlock(lock)
        assert (outcome.result, line.statistics.connects) == ("failed", 0)
    assert f"no lock {lock}" in outcome.words


async def test_a_silent_board_is_woken_at_the_second_try_and_not_at_the_first() -> None:
    simulated = SimulatedBoard()
    simulated.busy_behind_pulse = True
    simulated.answer(0x31, 7)  # it is busy since before the gateway started
    async with line_with(simulated) as line:
        board = board_on(line)
        with pytest.raises(DeviceError):
            await board.read("live")
        assert simulated.wakes == 0
        assert (await words_of(board))["lock_7"] == "open"
        assert simulated.wakes == 1


async def test_boards_and_modbus_units_share_a_line() -> None:
    def meter(heard: bytes) -> bytes:
        reply = bytes([17, 3, 4, 0, 1, 0, 2])
        return reply + crc(reply) if heard == rtu_request(METER) else b""

    boards = {unit_id: SimulatedBoard() for unit_id in (0, 3, 14)}
    async with SimulatedLine(boards, neighbour=meter).on_tcp() as port:
        line = Line(TcpChannel("127.0.0.1", port), lambda inbox: rtu_frames(inbox) + frames_in(inbox))
        for unit_id in boards:
            board = LockBoard("lockers", line, SystemClock(), unit_id=unit_id, timeout_s=0.2)
            assert (await board.unlock(16)).result == "verified"
            assert (await words_of(board))["lock_16"] == "open"
            assert (await line.ask(RtuQuestion(METER), 5)).words == bytes([0, 1, 0, 2])
        await line.close()
    assert [board.pulses for board in boards.values()] == [[16], [16], [16]]


async def test_a_lock_opens_over_a_serial_port() -> None:
    simulated = SimulatedBoard()
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    with os.fdopen(ours, "rb", 0) as source, os.fdopen(os.dup(ours), "wb", 0) as sink:
        reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
        writing, flow = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sink)
        serving = asyncio.create_task(
            SimulatedLine({0: simulated}).serve(reader, asyncio.StreamWriter(writing, flow, None, loop))
        )
        line = Line(SerialChannel(os.ttyname(theirs), 19200), frames_in)
        assert (await board_on(line).unlock(7)).result == "verified"
        await line.close()
        serving.cancel()
        reading.close()
        writing.abort()
    os.close(theirs)
    assert simulated.pulses == [7]


async def test_a_unit_id_that_speaks_to_all_boards_is_refused() -> None:
    async with line_with(SimulatedBoard()) as line:
        with pytest.raises(ConfigError, match="0-14"):
            LockBoard("lockers", line, SystemClock(), unit_id=15)
