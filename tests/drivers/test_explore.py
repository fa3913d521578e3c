"""Registers side by side: every type, what is near a display's value, and what is refused."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from drivers.bus.channel import TcpChannel
from drivers.modbus.planner import Block
from drivers.modbus.tcp import TcpLink
from drivers.scan.explore import TYPES, Explorer, is_near, merged, read_as, rows
from drivers.simulator.farm import Farm, SimulatedBus, SimulatedDevice
from drivers.simulator.image import Image

WORD = st.integers(0, 0xFFFF)


@given(WORD, WORD)
def test_each_type_is_what_its_bytes_say(first: int, second: int) -> None:
    a, b, c, d = first.to_bytes(2) + second.to_bytes(2)
    values = read_as(first, second)
    assert tuple(values) == TYPES
    assert values["u16"] == first
    assert values["i16"] == struct.unpack(">h", bytes([a, b]))[0]
    assert values["u32"] == struct.unpack(">I", bytes([a, b, c, d]))[0]
    assert values["u32 little"] == struct.unpack(">I", bytes([c, d, a, b]))[0]
    assert values["i32 little"] == struct.unpack(">i", bytes([c, d, a, b]))[0]
    for name, order in (("f32", [a, b, c, d]), ("f32 little", [c, d, a, b]), ("f32 swapped", [b, a, d, c])):
        number = struct.unpack(">f", bytes(order))[0]
        assert values[name] == (number if abs(number) < float("inf") else None)


def test_a_register_without_a_next_one_has_no_32_bit_values() -> None:
    values = read_as(0x4142, None)
    assert (values["text"], values["u32"], values["f32 swapped"]) == ("AB", None, None)


def test_what_a_display_shows_is_marked_at_each_scale_and_nothing_else_is() -> None:
    assert [is_near(value, 230.4) for value in (230.4, 2304, 23035, 230400, -2304, 0.2304)] == [True] * 6
    assert [is_near(value, 230.4) for value in (2340, 0, None, "230.4", 23, 2304000)] == [False] * 6
    assert is_near(0, 0)
    (first, second) = rows({7: 2304, 8: 99}, 230.4)
    assert (first.like, second.like) == (("u16", "i16"), ())


async def test_refused_registers_are_found_shown_and_not_asked_again() -> None:
    image = Image(1, {"holding": {at: at for at in (*range(10), *range(14, 20))}})
    async with Farm([SimulatedBus("bus", (SimulatedDevice("d", 1, image),))]) as farm:
        link = TcpLink(TcpChannel("127.0.0.1", farm.ports["bus"]))
        explorer = Explorer(link, 1, Block("holding", 0, 25))
        words = await explorer.read()
        assert words == image.tables["holding"]
        assert merged(explorer.refused) == [(Block("holding", 10, 4), 2), (Block("holding", 20, 5), 2)]
        asked = link.statistics.unit(1).asked
        assert await explorer.read() == words
        assert link.statistics.unit(1).asked == asked + 2
        await link.close()
