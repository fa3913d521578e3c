"""A half-duplex line in virtual time: silences, quarantine, patience, and thirty units of which some are bad."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus.channel import Transport
from drivers.bus.line import Line
from drivers.modbus.device import ModbusDevice
from drivers.modbus.frames import RtuQuestion, crc, rtu_frames
from drivers.modbus.load import parse_profile
from drivers.modbus.requests import Read
from drivers.modbus.rtu import RtuLink
from gateway.core.errors import DeviceError
from gateway.core.model import Layout, Record
from gateway.polling import BusPoller
from tests.drivers.rs485 import Rs485, Unit
from tests.virtual import VirtualClock, go_on, run_virtually

PROFILE = (
    "{make: Test, model: ten registers, source: this test, licence: fact, link: {timeout_s: TIMEOUT},"
    " points: [{key: first, register: 0, type: u32}, {key: last, register: 8, type: u32}]}"
)


def question(unit_id: int, count: int = 10) -> RtuQuestion:
    return RtuQuestion(Read(unit_id, 3, 0, count))


def test_between_two_frames_the_line_is_silent_for_three_and_a_half_characters() -> None:
    async def ask() -> None:
        line = Line(bus, rtu_frames)
        for unit_id in (1, 2, 1, 1):
            await line.ask(question(unit_id), 1)

    bus = Rs485({1: Unit(), 2: Unit(latency_s=0.001)}, baud=9600)
    run_virtually(ask())
    assert all(gap >= 3.5 * 10 / 9600 - 1e-6 for gap in bus.gaps[1:]), bus.gaps


def test_a_unit_that_wants_a_pause_gets_it_and_others_do_not_wait() -> None:
    async def ask() -> list[float]:
        line, began = Line(bus, rtu_frames), asyncio.get_running_loop().time()
        await line.ask(question(1), 1, pause_s=0.2)
        await line.ask(question(2), 1)
        await line.ask(question(1), 1, pause_s=0.2)
        return [at - began for at in (*bus.units[1].served, *bus.units[2].served)]

    bus = Rs485({1: Unit(), 2: Unit()}, baud=9600)
    first, second, other = run_virtually(ask())
    answered = first + 0.02 + (8 + 25) * 10 / 9600
    assert second - answered >= 0.2 - 1e-6
    assert other - answered < 0.01


def test_a_quick_unit_that_falls_silent_is_given_up_sooner_than_the_timeout_and_later_again_awaited() -> None:
    async def ask() -> list[float]:
        line, loop, waits = Line(bus, rtu_frames), asyncio.get_running_loop(), []
        await line.ask(question(1), 2)
        unit.dead = True
        for _ in range(6):
            await go_on(10)  # beyond every quarantine
            began = loop.time()
            with pytest.raises(DeviceError, match="no answer"):
                await line.ask(question(1), 2)
            waits.append(loop.time() - began)
        return waits

    unit = Unit(latency_s=0.05)
    bus = Rs485({1: unit}, baud=115200)
    waits = run_virtually(ask())
    assert waits[0] < 0.3, "four times its latency"
    assert waits == sorted(waits), "each time it gets more"
    assert waits[-1] > 1.9, "up to what is configured"


@pytest.mark.parametrize(
    ("unit", "words", "counted"),
    [
        (Unit(dead=True), "no answer from rs485 unit 1", "timeouts"),
        (Unit(garble=True), "25 bytes without a good checksum", "garbled"),
        (Unit(answers_from=9), "answers something else", "foreign"),
    ],
)
def test_what_went_wrong_is_told_and_counted(unit: Unit, words: str, counted: str) -> None:
    async def ask() -> None:
        with pytest.raises(DeviceError, match=words):
            await line.ask(question(1), 0.5)

    line = Line(Rs485({1: unit}), rtu_frames)
    run_virtually(ask())
    statistics = line.statistics.unit(1)
    counts = {"timeouts": statistics.timeouts, "garbled": statistics.garbled, "foreign": statistics.foreign}
    assert counts == dict.fromkeys(counts, 0) | {counted: 1}


def test_a_late_answer_is_counted_and_answers_nothing() -> None:
    async def ask() -> bytes:
        with pytest.raises(DeviceError, match="no answer"):
            await line.ask(question(1), 0.1)
        reply = await line.ask(question(2), 1)  # while the late one of unit 1 comes
        unit.latency_s = 0.02
        await line.ask(question(1), 1)
        return reply.words

    unit = Unit(latency_s=0.15)
    line = Line(Rs485({1: unit, 2: Unit(latency_s=0.3)}), rtu_frames)
    assert len(run_virtually(ask())) == 20
    assert [line.statistics.unit(n).late for n in (1, 2)] == [1, 0]


def test_what_comes_while_nothing_is_asked_is_a_late_answer_or_noise() -> None:
    async def ask() -> None:
        with pytest.raises(DeviceError, match="no answer"):
            await line.ask(question(1), 0.1)
        await go_on(1)
        line._received(b"\xff\xff\xff")
        await line.ask(question(2), 1)
        await go_on(1)
        line._received(b"\xff\xff\xff")
        await line.ask(question(2), 1)

    line = Line(Rs485({1: Unit(latency_s=0.15), 2: Unit()}), rtu_frames)
    run_virtually(ask())
    assert line.statistics.unit(1).late == 1
    assert line.statistics.noise_bytes == 3


def test_a_line_that_sends_without_end_is_given_up() -> None:
    async def ask() -> None:
        asking = asyncio.ensure_future(line.ask(question(1), 1000))
        await go_on(0.1)
        for _ in range(70):
            line._received(b"\x01\x03\xfa" * 350)
        with pytest.raises(DeviceError, match="sends without end"):
            await asking

    bus = Rs485({1: Unit(dead=True)})
    line = Line(bus, rtu_frames)
    run_virtually(ask())
    assert bus.is_closing()
    assert line.statistics.noise_bytes > 60_000


def test_an_ask_that_is_cancelled_leaves_no_answer_for_the_next() -> None:
    async def ask() -> bytes:
        task = asyncio.ensure_future(line.ask(RtuQuestion(Read(1, 3, 500, 10)), 1))
        await go_on(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return (await line.ask(question(1), 1)).words

    line = Line(Rs485({1: Unit(latency_s=0.2)}), rtu_frames)
    assert run_virtually(ask())[:2] == b"\0\0", "not 500, which the cancelled question would have brought"


def test_a_request_that_is_still_going_out_is_not_run_into() -> None:
    async def ask() -> None:
        task = asyncio.ensure_future(line.ask(question(1), 1))
        await go_on(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await line.ask(question(2), 1)

    bus = Rs485({1: Unit(dead=True), 2: Unit()}, baud=9600)
    line = Line(bus, rtu_frames)
    run_virtually(ask())
    assert bus.gaps[1] >= 3.5 * 10 / 9600 - 1e-6, bus.gaps


class Polls:
    """Counts what each device brought."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.offline: set[str] = set()

    def took(self, layout: Layout, record: Record) -> None:
        self.taken[layout.device] += 1

    def missed(self, device: str, polls: int) -> None:
        pass

    def lost(self, device: str, error: DeviceError) -> None:
        self.offline.add(device)

    def found(self, device: str) -> None:
        self.offline.discard(device)


def polled(
    units: dict[int, Unit], *, seconds: float, poll_s: float, baud: int, timeout_s: float = 0.5
) -> tuple[Polls, Line]:
    """Poll all `units` for so long."""

    async def poll() -> None:
        link = RtuLink(line)
        clock = VirtualClock()
        devices = [ModbusDevice(str(n), "ten", profile, link, clock, unit_id=n, poll_s=poll_s) for n in units]
        task = asyncio.ensure_future(BusPoller(devices, polls, clock).run())
        await go_on(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    profile = parse_profile(PROFILE.replace("TIMEOUT", str(timeout_s)), "ten.yaml")
    polls, line = Polls(), Line(Rs485(units, baud), rtu_frames)
    run_virtually(poll())
    return polls, line


@pytest.mark.P7
def test_of_thirty_units_on_a_line_the_dead_and_the_slow_do_not_hold_up_the_others() -> None:
    """At 19200 baud 24 healthy units take 1.1 s of each 2 s; the slow one alone would take 1.5 s of them."""
    units = {n: Unit() for n in range(1, 31)}
    for dead in (3, 9, 15, 21, 27):
        units[dead].dead = True
    units[12].latency_s = 0.45
    healthy = [str(n) for n, unit in units.items() if unit.latency_s < 0.1 and not unit.dead]

    before, _ = polled({n: units[n] for n in map(int, healthy)}, seconds=600, poll_s=2, baud=19200)
    polls, line = polled(units, seconds=600, poll_s=2, baud=19200)

    cycles = {before.taken[name] for name in healthy}
    assert cycles == {300}, "alone they keep their cycle"
    assert polls.offline == {"3", "9", "15", "21", "27"}
    assert min(polls.taken[name] for name in healthy) >= 295, "and with bad neighbours, too"
    assert polls.taken["12"] >= 60, "the slow one is polled as often as there is time"
    lost_s = sum(line.statistics.unit(dead).unanswered_s for dead in (3, 9, 15, 21, 27))
    assert lost_s <= 0.1 * 600


@pytest.mark.P7
def test_a_unit_that_misses_an_answer_now_and_then_is_left_alone_and_its_neighbours_are_not() -> None:
    """Its timeout is 3 s, so that it is left alone for six; meanwhile the others keep their half second."""
    units = {n: Unit() for n in range(1, 6)}
    units[3].misses = 4  # each fourth question
    polled(units, seconds=300, poll_s=0.5, baud=19200, timeout_s=3)
    for n in (1, 2, 4, 5):
        gaps = [after - before for before, after in pairwise(units[n].served)]
        assert max(gaps) < 0.8, f"unit {n}"
    assert len(units[3].served) > 100


@pytest.mark.P7
def test_one_slow_unit_on_a_full_line_costs_the_others_a_tenth_at_most() -> None:
    units = {n: Unit() for n in range(1, 21)}
    units[7].latency_s = 0.48  # of a timeout of 0.5
    polls, line = polled(units, seconds=600, poll_s=1, baud=19200)
    alone, _ = polled({n: unit for n, unit in units.items() if n != 7}, seconds=600, poll_s=1, baud=19200)
    others = [str(n) for n in units if n != 7]
    assert min(polls.taken[n] for n in others) >= 0.88 * min(alone.taken[n] for n in others)
    assert line.statistics.unit(7).busy_s <= 0.12 * 600
    assert polls.taken["7"] >= 50


class Scripted:
    """A Channel that answers each request with what it is given: (seconds after the request, bytes) pieces."""

    name, character_s, silence_s = "scripted", 0.001, 0.0035

    def __init__(self, answers: list[list[tuple[float, bytes]]]) -> None:
        self._answers = iter(answers)
        self._protocol: asyncio.Protocol | None = None

    async def open(self, protocol: asyncio.Protocol) -> Transport:
        self._protocol = protocol
        return self

    def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for after_s, piece in next(self._answers, []):
            assert self._protocol is not None
            loop.call_later(after_s, self._protocol.data_received, piece)

    def abort(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False


TIMEOUT_S = 0.5


def rtu(unit_id: int, pdu: bytes) -> bytes:
    return bytes([unit_id]) + pdu + crc(bytes([unit_id]) + pdu)


@st.composite
def answer(draw: st.DrawFn, number: int) -> list[tuple[float, bytes]]:
    """What comes back to request `number`: its answer, split, late, twice or not at all, among noise and strangers."""
    true = rtu(7, b"\x03\x04" + number.to_bytes(4))
    strangers = [
        rtu(8, b"\x03\x04" + b"\xee" * 4), rtu(7, b"\x04\x04" + b"\xee" * 4), rtu(7, b"\x03\x02\xee\xee"),
        rtu(7, b"\x77\x01"), true[:-3], true[:-1] + b"\0", b"\xff", b"\0\0",
    ]  # fmt: skip
    around = st.lists(st.sampled_from(strangers), max_size=3).map(b"".join)
    stream = draw(around) + draw(st.sampled_from([true, true, true * 2, b""])) + draw(around)
    begins_s = draw(st.sampled_from([0.01, 0.01, 0.3, 0.95]))  # in time, in time, late for the impatient, late
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return [(begins_s + 0.002 * at, part) for at, part in enumerate(parts) if part]


@given(st.data())
def test_whatever_comes_in_whatever_order_a_wrong_value_never_comes_out(data: st.DataObject) -> None:
    answers = [data.draw(answer(number)) for number in range(6)]

    async def ask() -> list[int | None]:
        line, values = Line(Scripted(answers), rtu_frames), []
        for _ in answers:
            try:
                reply = await line.ask(RtuQuestion(Read(7, 3, 0, 2)), TIMEOUT_S)
                values.append(int.from_bytes(reply.words))
            except DeviceError:
                values.append(None)
        return values

    for number, value in enumerate(run_virtually(ask())):
        assert value in (None, number)
