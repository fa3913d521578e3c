"""A device on a bus that refuses, falls silent, or has more than we know."""

import pytest

from drivers.modbus.device import ModbusDevice
from drivers.modbus.profile import Profile, parse_profile
from drivers.modbus.requests import Read, Reply, Request
from gateway.core.clock import SystemClock
from gateway.core.errors import DeviceError
from tests.drivers.answers import profile

TWO_BLOCKS = """
make: Test
model: two blocks
source: this test
licence: fact
link: {gap_max: 0}
points:
  - {key: first, register: 0, type: u16}
  - {key: second, register: 100, type: u16}
"""


class FakeLink:
    """Answers by address: words, an exception code, or None for silence; other addresses do not exist."""

    name = "bus"

    def __init__(self, answers: dict[int, bytes | int | None]) -> None:
        self.answers = answers
        self.asked: list[Read] = []

    async def ask(self, request: Request, timeout_s: float, pause_s: float = 0) -> Reply:
        assert isinstance(request, Read)
        self.asked.append(request)
        answer = self.answers.get(request.address, 2)
        if answer is None:
            raise DeviceError("no answer")
        return Reply(exception=answer) if isinstance(answer, int) else Reply(words=answer[: 2 * request.count])


def device(answers: dict[int, bytes | int | None], of: Profile) -> ModbusDevice:
    return ModbusDevice("device", "profile", of, FakeLink(answers), SystemClock())


async def values(answers: dict[int, bytes | int | None]) -> list[object]:
    taken = await device(answers, parse_profile(TWO_BLOCKS, "two.yaml")).read("live")
    assert taken is not None
    layout, record = taken
    return list(layout.rows.unpack(record.row))


async def test_a_refused_block_leaves_its_points_missing_and_harms_no_other() -> None:
    assert await values({0: 2, 100: b"\0\7"}) == [None, 7]
    assert await values({0: b"\0\5", 100: 3}) == [5, None]


async def test_what_was_read_before_a_device_fell_silent_is_kept() -> None:
    assert await values({0: b"\0\5", 100: None}) == [5, None]
    assert await values({0: b"\0\5", 100: 11}) == [5, None]


@pytest.mark.parametrize("answers", [{0: None}, {0: 2, 100: 2}, {0: 11, 100: b"\0\7"}, {0: 2, 100: None}])
async def test_a_device_that_gives_nothing_is_an_error(answers: dict[int, bytes | int | None]) -> None:
    with pytest.raises(DeviceError):
        await values(answers)


async def test_a_device_that_refuses_a_whole_group_is_not_taken_for_dead() -> None:
    text = TWO_BLOCKS.replace("type: u16}\n  - {key: s", "type: u16}\n  - {group: slow, key: s")
    alive = device({0: b"\0\5", 100: 2}, parse_profile(text + "groups: {slow: {every_s: 60}}\n", "two.yaml"))
    taken = await alive.read("slow")
    assert taken is not None
    assert list(taken[0].rows.unpack(taken[1].row)) == [None]
    assert [reading.value for reading in await alive.read_points()] == [5, None]


def chain(*models: tuple[int, int], end: bytes = b"\xff\xff\0\0") -> dict[int, bytes | int | None]:
    """A SunSpec chain of (number, length) models whose points are all 1."""
    registers = b"SunS" + b"".join(n.to_bytes(2) + size.to_bytes(2) + b"\0\1" * size for n, size in models) + end
    return {40000 + at: registers[2 * at :] for at in range(len(registers) // 2)}


async def test_sunspec_steps_over_models_that_it_does_not_know() -> None:
    readings = await device(chain((1, 66), (64999, 7), (103, 50)), profile("sunspec")).read_points()
    assert {reading.placed.model for reading in readings} == {1, 103}


async def test_a_chain_may_end_without_a_length() -> None:
    readings = await device(chain((103, 50), end=b"\xff\xff"), profile("sunspec")).read_points()
    assert {reading.placed.model for reading in readings} == {103}


async def test_a_length_beyond_all_registers_ends_the_chain() -> None:
    broken = device(chain((103, 50), end=b"\xfd\xe7\xea\x60"), profile("sunspec"))
    readings = await broken.read_points()
    assert {reading.placed.model for reading in readings} == {103}
    assert isinstance(broken._link, FakeLink)
    assert all(request.address + request.count <= 0x10000 for request in broken._link.asked)


async def test_a_device_without_the_mark_is_named_as_such() -> None:
    with pytest.raises(DeviceError, match="no SunSpec mark"):
        await device({40000: b"\0" * 8}, profile("sunspec")).read("live")


async def test_a_silent_base_does_not_end_the_search_for_the_chain() -> None:
    answers = {address - 40000: answer for address, answer in chain((103, 50)).items()}
    readings = await device({40000: None} | answers, profile("sunspec")).read_points()
    assert {reading.placed.model for reading in readings} == {103}
    with pytest.raises(DeviceError, match="no SunSpec mark"):
        await device({40000: None}, profile("sunspec")).read("live")
    with pytest.raises(DeviceError, match="no answer"):
        await device({40000: None, 0: None, 50000: None}, profile("sunspec")).read("live")
