"""All words of a column at once come to what a loop over the words comes to."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from gateway.core import deltas

columns = st.sampled_from("BHIQ").flatmap(
    lambda code: st.tuples(
        st.just(code), st.lists(st.integers(0, (1 << 8 * struct.calcsize(">" + code)) - 1), min_size=1, max_size=70)
    )
)


@given(columns)
def test_deltas_are_the_zigzag_of_the_differences_and_sums_undo_them(column: tuple[str, list[int]]) -> None:
    code, words = column
    width = struct.calcsize(">" + code)
    bits = 8 * width
    packed = struct.pack(f">{len(words)}{code}", *words)
    expected = []
    for before, word in zip([0, *words], words, strict=False):
        change = (word - before) % (1 << bits)
        expected.append(2 * change if change < 1 << (bits - 1) else 2 * ((1 << bits) - change) - 1)
    changes = deltas.deltas(packed, width)
    assert list(struct.unpack(f">{len(words)}{code}", changes)) == expected
    assert deltas.sums(changes, width) == packed
    assert deltas.unplaned(deltas.planes(packed, width), width) == packed


def test_the_bytes_of_equal_weight_stand_side_by_side() -> None:
    assert deltas.planes(bytes([1, 2, 3, 4, 5, 6]), 2) == bytes([1, 3, 5, 2, 4, 6])
