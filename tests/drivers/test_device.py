"""A device on a bus that refuses, falls silent, or has more than we know."""

import asyncio

import pytest

from drivers.modbus.device import ModbusDevice
from drivers.modbus.load import parse_profile
from drivers.modbus.profile import Profile
from drivers.modbus.requests import Read, Reply, Request
from gateway.core.clock import SystemClock
from gateway.core.errors import DeviceError
from gateway.core.model import Role
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

    def wait_s(self, unit_id: int) -> float:
        return 0.0


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


HOLED = """
make: Test
model: twelve points, read in one
source: this test
licence: fact
points:
""" + "\n".join(f"  - {{key: p{n}, register: {2 * n}, type: u32}}" for n in range(12))


class Holed:
    """Registers hold their address, and any read that touches a hole is refused; `alone`: only reads up to 4 words."""

    name = "bus"

    def __init__(self, holes: set[int], *, words_max: int = 125) -> None:
        self.holes = holes
        self.words_max = words_max
        self.asked: list[Read] = []

    async def ask(self, request: Request, timeout_s: float, pause_s: float = 0) -> Reply:
        assert isinstance(request, Read)
        self.asked.append(request)
        wanted = range(request.address, request.address + request.count)
        if self.holes.intersection(wanted):
            return Reply(exception=2)
        if request.count > self.words_max:
            return Reply(exception=3)
        return Reply(b"".join(b"\0\0" if at % 2 == 0 else at.to_bytes(2) for at in wanted))

    def wait_s(self, unit_id: int) -> float:
        return 0.0


class Remembered:
    """A Memory that a second device can be given."""

    def __init__(self) -> None:
        self.ranges: list[tuple[str, int, int]] = []

    async def refused(self, device: str, plan: str) -> list[tuple[str, int, int]]:
        return self.ranges

    async def remember_refused(self, device: str, plan: str, ranges: list[tuple[str, int, int]]) -> None:
        self.ranges = ranges


def holed_device(link: Holed, memory: Remembered | None = None) -> ModbusDevice:
    return ModbusDevice("d", "p", parse_profile(HOLED, "holed.yaml"), link, SystemClock(), memory=memory)


async def poll(of: ModbusDevice) -> list[object]:
    taken = await of.read("live")
    assert taken is not None
    return list(taken[0].rows.unpack(taken[1].row))


def expected(*missing: int) -> list[object]:
    return [None if n in missing else 2 * n + 1 for n in range(12)]


@pytest.mark.parametrize("missing", [(), (0,), (11,), (3,), (3, 4), (0, 5, 11), (1, 3, 5, 7, 9, 11)])
async def test_a_refused_register_costs_its_own_point_and_no_other(missing: tuple[int, ...]) -> None:
    link = Holed({2 * n for n in missing})
    reading = holed_device(link)
    for _ in range(3):
        values = await poll(reading)
    assert values == expected(*missing)


async def test_once_it_is_known_what_a_device_refuses_it_is_not_asked_again() -> None:
    link, memory = Holed({6}), Remembered()
    reading = holed_device(link, memory)
    assert await poll(reading) == expected(3)
    link.asked.clear()
    assert await poll(reading) == expected(3)
    assert [(r.address, r.count) for r in link.asked] == [(0, 6), (8, 16)]
    assert reading.why_missing == {"p3": "the device refuses holding 6: it has no such address"}
    restarted = Holed({6})
    assert await poll(holed_device(restarted, memory)) == expected(3)
    assert [(r.address, r.count) for r in restarted.asked] == [(0, 6), (8, 16)]


async def test_a_device_that_takes_only_short_reads_is_read_in_short_ones() -> None:
    link = Holed(set(), words_max=8)
    reading = holed_device(link)
    for _ in range(3):
        values = await poll(reading)
    assert values == expected()
    link.asked.clear()
    await poll(reading)
    assert max(request.count for request in link.asked) <= 8


async def test_a_device_that_is_only_busy_is_not_searched_and_nothing_is_learnt() -> None:
    class Busy(Holed):
        async def ask(self, request: Request, timeout_s: float, pause_s: float = 0) -> Reply:
            await super().ask(request, timeout_s, pause_s)
            return Reply(exception=6)

    link, memory = Busy(set()), Remembered()
    with pytest.raises(DeviceError, match="it is busy"):
        await poll(holed_device(link, memory))
    assert len(link.asked) == 1
    assert memory.ranges == []


async def test_what_was_refused_is_tried_again_after_a_minute() -> None:
    class Clock(SystemClock):
        ahead_s = 0.0

        def monotonic_s(self) -> float:
            return super().monotonic_s() + self.ahead_s

    link, clock, memory = Holed({6}), Clock(), Remembered()
    reading = ModbusDevice("d", "p", parse_profile(HOLED, "holed.yaml"), link, clock, memory=memory)
    assert await poll(reading) == expected(3)
    link.holes.clear()
    assert await poll(reading) == expected(3)
    clock.ahead_s = 61
    assert await poll(reading) == expected()
    assert memory.ranges == [], "a restart does not bring it back"
    assert reading.why_missing == {}


class Known:
    """Identities that know whose each serial number is."""

    def __init__(self, owners: dict[str, str]) -> None:
        self.owners = owners

    async def name_of(self, configured: str, serial: str) -> str:
        return self.owners.get(serial, configured)

    def role_of(self, owner: str) -> Role:
        return "load" if owner == "two" else "grid"

    def sure(self, configured: str) -> bool:
        return True


WITH_SERIAL = """
make: Test
model: has a serial number
source: this test
licence: fact
serial: serial
groups: {info: {every_s: 3600}}
points:
  - {key: power, register: 0, type: u16}
  - {key: serial, register: 100, type: text, words: 2, group: info}
"""


async def test_readings_go_to_the_device_whose_serial_number_answers() -> None:
    link = FakeLink({0: b"\0\5", 100: b"BBBB"})
    known = Known({"AAAA": "one", "BBBB": "two"})
    one = ModbusDevice("one", "p", parse_profile(WITH_SERIAL, "s.yaml"), link, SystemClock(), identities=known)
    taken = await one.read("live")
    assert taken is not None
    assert (taken[0].device, taken[0].role) == ("two", "load"), "the very layout that it has at its own place"
    link.answers = {0: None, 100: None}
    with pytest.raises(DeviceError):
        await one.read("live")
    link.answers = {0: b"\0\6", 100: b"AAAA"}
    taken = await one.read("live")
    assert taken is not None
    assert taken[0].device == "one", "asked again once it was silent"


async def test_a_device_that_does_not_give_its_serial_number_is_who_it_should_be() -> None:
    link = FakeLink({0: b"\0\5", 100: 2})
    one = ModbusDevice("one", "p", parse_profile(WITH_SERIAL, "s.yaml"), link, SystemClock(), identities=Known({}))
    taken = await one.read("live")
    assert taken is not None
    assert taken[0].device == "one"


async def test_several_reads_are_under_way_at_once_where_the_device_can() -> None:
    class Together(FakeLink):
        under_way = most = 0

        async def ask(self, request: Request, timeout_s: float, pause_s: float = 0) -> Reply:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await asyncio.sleep(0)
            self.under_way -= 1
            return await super().ask(request, timeout_s, pause_s)

    for in_flight, most in ((1, 1), (4, 2)):
        link = Together({0: b"\0\5", 100: b"\0\7"})
        text = TWO_BLOCKS.replace("{gap_max: 0}", f"{{gap_max: 0, in_flight: {in_flight}}}")
        reading = ModbusDevice("d", "p", parse_profile(text, "two.yaml"), link, SystemClock())
        assert await poll(reading) == [5, 7]
        assert link.most == most


async def test_a_device_that_refuses_everything_while_it_starts_is_read_as_soon_as_it_can() -> None:
    link, memory = Holed(set(range(30))), Remembered()
    reading = holed_device(link, memory)
    for _ in range(3):
        with pytest.raises(DeviceError, match="refuses all that is live"):
            await poll(reading)
    assert memory.ranges == []
    link.holes.clear()
    assert await poll(reading) == expected()


async def test_one_refusal_is_no_proof() -> None:
    class Moody(Holed):
        async def ask(self, request: Request, timeout_s: float, pause_s: float = 0) -> Reply:
            reply = await super().ask(request, timeout_s, pause_s)
            return Reply(exception=2) if len(self.asked) % 2 else reply

    link, memory = Moody(set()), Remembered()
    reading = holed_device(link, memory)
    for _ in range(3):
        assert await poll(reading) == expected()
    assert memory.ranges == []


@pytest.mark.parametrize("code", [4, 5, 6])
async def test_a_chain_that_a_busy_device_does_not_show_is_walked_again(code: int) -> None:
    link = FakeLink(chain((1, 66), (103, 50)))
    good, link.answers[40070] = link.answers[40070], code
    reading = ModbusDevice("d", "p", profile("sunspec"), link, SystemClock())
    with pytest.raises(DeviceError, match="refuses: holding 40070"):
        await reading.read_points()
    link.answers[40070] = good
    assert {one.placed.model for one in await reading.read_points()} == {1, 103}


async def test_a_device_that_was_away_may_come_back_with_other_models() -> None:
    link = FakeLink(chain((103, 50)))
    reading = ModbusDevice("d", "p", profile("sunspec"), link, SystemClock())
    await reading.read("live")
    link.answers = {40002: None, 40000: None} | dict.fromkeys(range(40000, 40100))
    for _ in range(2):
        with pytest.raises(DeviceError):
            await reading.read("live")
    link.answers = chain((64999, 7), (103, 50))
    taken = await reading.read("live")
    assert taken is not None
    assert link.asked[-1].address == 40002 + 9 + 2, "behind the model that was put in front"


async def test_while_a_device_cannot_say_who_it_is_its_readings_go_to_nobody() -> None:
    link = FakeLink({0: b"\0\5", 100: b"BBBB"})
    known = Known({"AAAA": "one", "BBBB": "two"})
    one = ModbusDevice("one", "p", parse_profile(WITH_SERIAL, "s.yaml"), link, SystemClock(), identities=known)
    await one.read("live")
    link.answers = {0: None, 100: None}
    with pytest.raises(DeviceError):
        await one.read("live")
    link.answers = {0: b"\0\5", 100: 6}
    with pytest.raises(DeviceError, match="it is busy"):
        await one.read("live")
    link.answers = {0: b"\0\5", 100: 2}
    taken = await one.read("live")
    assert taken is not None
    assert taken[0].device == "two", "it no longer gives its number: it is who it was"
