"""Reads cover what is wanted and respect what the device allows."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from drivers.modbus.planner import Block, plan_blocks

pieces = st.lists(
    st.builds(Block, st.sampled_from(["holding", "input"]), st.integers(0, 400), st.integers(1, 4)), max_size=40
)


@given(pieces, st.integers(0, 40), st.integers(4, 125), st.lists(st.integers(0, 400), max_size=4))
@example([Block("holding", 0, 4), Block("holding", 1, 1)], 0, 4, [])  # one within the other
def test_every_piece_is_in_a_read_and_no_read_is_too_wide_or_crosses_a_barrier(
    wanted: list[Block], gap_max: int, words_max: int, barriers: list[int]
) -> None:
    blocks = plan_blocks(wanted, gap_max=gap_max, words_max=words_max, barriers=barriers)
    for piece in wanted:
        assert any(b.table == piece.table and b.address <= piece.address and piece.end <= b.end for b in blocks)
    for block in blocks:
        assert block.count <= words_max
        inside = [p for p in wanted if p.table == block.table and block.address <= p.address and p.end <= block.end]
        for barrier in barriers:
            across = any(p.end <= barrier for p in inside) and any(p.address >= barrier for p in inside)
            covered = any(p.address < barrier < p.end for p in inside)  # a value that itself lies across it
            assert not across or covered


@given(st.sets(st.integers(0, 300), max_size=60), st.integers(0, 20), st.integers(1, 125))
def test_each_wanted_register_is_read_once_and_no_unwanted_one_beyond_the_gap(
    wanted: set[int], gap_max: int, words_max: int
) -> None:
    blocks = plan_blocks((Block("input", at, 1) for at in wanted), gap_max=gap_max, words_max=words_max)
    read = [at for block in blocks for at in range(block.address, block.end)]
    assert len(read) == len(set(read))
    assert wanted <= set(read)
    for block in blocks:
        inside = sorted(wanted & set(range(block.address, block.end)))
        assert (inside[0], inside[-1] + 1) == (block.address, block.end)
        assert all(after - before - 1 <= gap_max for before, after in pairwise(inside))
    for block, following in pairwise(blocks):
        assert following.address - block.end > gap_max or following.address + 1 - block.address > words_max


def test_a_gap_is_read_over_up_to_its_limit() -> None:
    wanted = [Block("holding", 0, 2), Block("holding", 10, 2)]
    assert plan_blocks(wanted, gap_max=8, words_max=125) == [Block("holding", 0, 12)]
    assert plan_blocks(wanted, gap_max=7, words_max=125) == wanted
