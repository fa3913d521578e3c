"""Halving finds exactly what a device refuses; the planner then reads around it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.planner import Block, gap_worth, plan_blocks
from drivers.modbus.refusals import ASKS_MAX, halve
from drivers.modbus.requests import Reply


def block(address: int, count: int) -> Block:
    return Block("holding", address, count)


@given(st.sets(st.integers(0, 60), min_size=1, max_size=25), st.sets(st.integers(0, 60), max_size=12))
def test_after_a_few_polls_everything_is_read_that_can_be_and_nothing_else_is_asked(
    wanted: set[int], holes: set[int]
) -> None:
    """Devices refuse any read that touches a hole; the pieces are single registers, bridged over any gap."""

    async def ask(asked: Block) -> Reply:
        refuses = not holes.isdisjoint(range(asked.address, asked.end))
        return Reply(exception=2) if refuses else Reply(bytes(2 * asked.count))

    async def poll(refused: dict[Block, int]) -> tuple[set[int], int]:
        got: set[int] = set()
        asks = 0
        for planned in plan_blocks(pieces, gap_max=100, words_max=125, refused=refused):
            asks += 1
            reply = await ask(planned)
            if not reply.exception:
                got |= set(range(planned.address, planned.end))
                continue
            answered, found = await halve(planned, pieces, reply.exception, ask)
            refused |= found
            for one in answered:
                got |= set(range(one.address, one.end))
        return got & wanted, asks

    async def polls() -> None:
        refused: dict[Block, int] = {}
        for _ in range(8):
            await poll(refused)
        got, asks = await poll(refused)
        assert got == wanted - holes
        before = dict(refused)
        await poll(refused)
        assert refused == before, "nothing is refused any more"
        assert asks <= 2 * len(holes) + 1

    pieces = [block(at, 1) for at in wanted]
    asyncio.run(polls())


def test_a_search_asks_no_more_than_it_may_and_the_next_one_gets_further() -> None:
    asked: list[Block] = []

    async def refuse_all(one: Block) -> Reply:
        asked.append(one)
        return Reply(exception=2)

    pieces = [block(at, 1) for at in range(100)]
    _, found = asyncio.run(halve(block(0, 100), pieces, 2, refuse_all))
    assert len(asked) == ASKS_MAX
    assert found, "what was found so far is kept"


def test_a_part_that_is_only_busy_is_not_blamed() -> None:
    async def busy(one: Block) -> Reply:
        return Reply(exception=6)

    _, found = asyncio.run(halve(block(0, 2), [block(0, 1), block(1, 1)], 2, busy))
    assert found == {}


@pytest.mark.parametrize(
    ("baud", "latency_s", "gap"), [(9600, 0.015, 17), (9600, 0.055, 36), (19200, 0.015, 24), (19200, 0.055, 62)]
)
def test_on_a_serial_line_a_gap_is_bridged_where_its_registers_cost_less_than_a_request(
    baud: int, latency_s: float, gap: int
) -> None:
    character_s = 10 / baud
    assert gap_worth(character_s, 3.5 * character_s, latency_s) == gap
