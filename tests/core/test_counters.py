"""What counters count is found whatever they do."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.counters import Counted, counted, joined

U16, U32 = 1 << 16, 1 << 32


def increase(values: list[float], size: float = 0) -> float:
    found = counted(values, size)
    assert found is not None
    return found.increase


def in_pieces(pieces: list[list[float]], size: float = 0) -> float:
    """The same, where each piece was a bucket."""
    whole: Counted | None = None
    for piece in pieces:
        found = counted(piece, size)
        if found is not None:
            whole = found if whole is None else joined(whole, found, size, gap=False)
    assert whole is not None
    return whole.increase


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [
        ([100, 101, 105], 0, 5),
        ([7], 0, 0),
        ([100, 120, 3, 5], 0, 25),  # started anew
        ([65_530, 65_535, 4], U16, 10),  # rolled over
        ([U32 - 2, 3], U32, 5),
        ([30_000, 4], U16, 4),  # too far from the end: started anew
        ([100, 0, 0, 101], 0, 1),  # it was waking
        ([100, 0, 0, 2, 3], 0, 3),  # it had started anew
        ([65_535, 0, 4], U16, 5),  # 0 on the way
        ([1000, 999, 1000, 1001], 0, 1),  # it trembled
        ([0, 0, 5, 6], 0, 1),  # a new one, or one that was waking
        ([0, 0], 0, 0),
        ([1000.0, 999.9, 1000.2], 0, pytest.approx(0.2)),
    ],
)
def test_the_increase_is_what_was_counted_however_it_is_cut(values: list[float], size: float, expected: float) -> None:
    assert increase(values, size) == expected
    for cut in range(1, len(values)):
        assert in_pieces([values[:cut], values[cut:]], size) == expected, cut
    assert in_pieces([[value] for value in values], size) == expected


@given(st.lists(st.integers(0, 40_000), min_size=2, max_size=40), st.data())
def test_a_counter_that_rises_counts_the_same_in_any_pieces(steps: list[int], data: st.DataObject) -> None:
    total, values = data.draw(st.integers(1, 60_000)), []
    for step in steps:
        total += step // 8
        values.append(total % U16)
    expected = increase(values, U16)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(values) - 1))))
    edges = [0, *cuts, len(values)]
    pieces: list[list[float]] = [list(values[a:b]) for a, b in pairwise(edges)]
    assert in_pieces(pieces, U16) == expected


def test_what_came_after_a_gap_is_recovered() -> None:
    before, after = counted([10, 12], 0), counted([20, 21], 0)
    assert before is not None
    assert after is not None
    whole = joined(before, after, 0, gap=True)
    assert (whole.increase, whole.recovered) == (11, 8)
