"""An Acuvim II's log is believed only where it shows what was asked for."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus.channel import TcpChannel
from drivers.modbus.acuvim_log import AcuvimLog
from drivers.modbus.acuvim_window import (
    StoredRecord,
    Window,
    parse_status,
    parse_window,
    records_max,
    stamp_ms,
    window_request,
)
from drivers.modbus.planner import Block
from drivers.modbus.points import PlacedPoint
from drivers.modbus.tcp import TcpLink
from drivers.simulator.acuvim import RECORD_BYTES, SimulatedAcuvim, values_of
from drivers.simulator.dialogue import DialogueServer
from gateway.core.errors import DeviceError
from gateway.core.model import Point

CAPE = ZoneInfo("Africa/Johannesburg")
BEGUN_S = 1_764_950_640
# An Acuvim CL's answer to 2 records from offset 4429 on; behind them stands what the window before had shown.
CAPTURED = bytes.fromhex(
    "020b0000114d"
    "0000114e190c081405000005d129000184ce00000021000846ba94f7"
    "0000114f190c081406000005d12c000184ce00000021000846be5ee4"
    "00001148190c08133b000005d118000184ce00000021000846a50e54"
)


def energy(key: str, register: int) -> PlacedPoint:
    point = Point(key, "u32", unit="kWh", kind="counter", quantity="energy", scale="0.1")
    return PlacedPoint(point, Block("holding", register, 2), "u32")


ENERGIES = [energy(key, 0x4048 + 2 * n) for n, key in enumerate(("imported", "exported", "q_imported", "q_exported"))]


@asynccontextmanager
async def logging(
    meter: SimulatedAcuvim, points: Sequence[PlacedPoint] = ENERGIES, number: int = 1
) -> AsyncIterator[AcuvimLog]:
    async with DialogueServer({1: meter}) as server:
        link = TcpLink(TcpChannel("127.0.0.1", server.port))
        yield AcuvimLog("meter", points, link, zone=CAPE, number=number, pause_s=0)
        await link.close()


def stored(number: int) -> StoredRecord:
    return StoredRecord(number, bytes(6), b"")


def test_a_captured_window_is_read_as_the_makers_program_read_it() -> None:
    window = parse_window(CAPTURED + bytes(246 - len(CAPTURED)), 28)
    assert window is not None
    assert window.shows(4429, 2)
    first, second = window.records
    assert (first.number, second.number) == (4430, 4431)
    assert stamp_ms(first.stamp, CAPE) == datetime(2025, 12, 8, 18, 5, tzinfo=UTC).timestamp() * 1000
    assert [int.from_bytes(second.data[at : at + 4]) for at in range(0, 16, 4)] == [381228, 99534, 33, 542398]


@given(st.integers(0, 2), st.integers(0, 2**32 - 1), st.integers(1, 255))
def test_a_request_says_log_count_and_offset_in_four_registers(log: int, offset: int, count: int) -> None:
    words = window_request(1, log, offset, count).words
    assert words == bytes([0, log, count, 0]) + offset.to_bytes(4)


def test_the_status_tells_room_use_and_size() -> None:
    status = parse_status(bytes.fromhex("0002db400000114f001c"))
    assert (status.capacity, status.used, status.record_bytes) == (187200, 4431, 28)
    assert records_max(status.record_bytes) == 8


@given(st.binary(min_size=246, max_size=246), st.integers(13, 246))
def test_whatever_the_window_holds_it_is_either_records_of_full_length_or_not_ready(words: bytes, size: int) -> None:
    window = parse_window(words, size)
    if window is None:
        assert words[1] != 0x0B or 6 + words[0] * size > len(words)
    else:
        assert len(window.records) == words[0]
        assert all(len(record.data) == size - 12 for record in window.records)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(0, 10**6), st.randoms())
def test_only_the_records_that_were_asked_for_in_their_order_are_shown(
    offset: int, count: int, oldest: int, rng: Random
) -> None:
    numbers = list(range(oldest + offset + 1, oldest + offset + 1 + count))
    assert Window(offset, tuple(map(stored, numbers))).shows(offset, count)
    assert not Window(offset + 1, tuple(map(stored, numbers))).shows(offset, count)
    assert not Window(offset, tuple(map(stored, numbers[1:]))).shows(offset, count)
    mixed = rng.sample(numbers, count)
    assert Window(offset, tuple(map(stored, mixed))).shows(offset, count) == (mixed == numbers)


@pytest.mark.parametrize("number", [0, 0xFFFFFFFF])
def test_erased_memory_is_no_record(number: int) -> None:
    assert not Window(0, (stored(number),)).shows(0, 1)


@pytest.mark.parametrize("stamp", [bytes([25, 13, 1, 0, 0, 0]), bytes([25, 2, 30, 0, 0, 0]), b"\xff" * 6])
def test_a_stamp_that_is_no_date_is_no_time(stamp: bytes) -> None:
    assert stamp_ms(stamp, UTC) == 0


async def test_a_window_brings_times_in_utc_and_values_in_the_layouts_order() -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(20)
    async with logging(meter) as log:
        assert await log.extent() == (0, 20)
        entries = await log.window(15)
    assert [entry.index for entry in entries] == [15, 16, 17, 18, 19]
    assert [entry.ts for entry in entries] == [1000 * meter.made_s(n) for n in range(16, 21)]
    assert entries[0].values == values_of(16)
    assert [point.key for point in log.layout.points] == ["imported", "exported", "q_imported", "q_exported"]


async def test_a_log_that_is_empty_has_nothing_to_take() -> None:
    async with logging(SimulatedAcuvim(BEGUN_S, CAPE)) as log:
        assert await log.extent() == (0, 0)


async def test_a_window_of_long_ago_does_not_move_the_logs_beginning() -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE, faults=["repeated"])
    meter.run(100)
    async with logging(meter) as log:
        assert await log.extent() == (0, 100)
        assert len(await log.window(40)) == 8
        meter.fault_rate = 1
        assert await log.extent() is None
        assert await log.window(60) == []
        meter.fault_rate = 0
        assert await log.extent() == (0, 100)
        assert (await log.window(60))[0].index == 60


async def test_a_window_that_is_not_ready_is_awaited_and_then_asked_for_anew() -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(100)
    async with logging(meter) as log:
        await log.extent()
        await log._shown(0, 8)
        await log._ask(window_request(1, 0, 8, 8))
        log._asked, log._reads, meter._unready = (8, 8), 0, 1000
        answers = [await log.window(8) for _ in range(10)]
        assert answers == [[]] * 10
        assert len(await log.window(8)) == 8, "the new request made it ready"


async def test_a_meter_that_logs_other_points_is_refused_with_what_to_do() -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(5)
    async with logging(meter, ENERGIES[:3]) as log:
        with pytest.raises(DeviceError, match="logs 16 bytes a record, the configured points have 12") as caught:
            await log.extent()
    assert "set the log's points" in caught.value.hint
    assert RECORD_BYTES == 28


async def test_a_model_without_the_log_says_so() -> None:
    async with logging(SimulatedAcuvim(BEGUN_S, CAPE), number=3) as log:
        with pytest.raises(DeviceError, match="refuses its log"):
            await log.extent()
