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


@given(
    st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=6).flatmap(
        lambda widths: st.tuples(
            st.just(widths), st.lists(st.binary(min_size=sum(widths), max_size=sum(widths)), min_size=1, max_size=20)
        )
    )
)
def test_all_columns_are_summed_at_once_into_the_rows_that_they_were(given_: tuple[list[int], list[bytes]]) -> None:
    widths, rows = given_
    starts = [sum(widths[:index]) for index in range(len(widths))]
    columns = [
        deltas.deltas(b"".join(row[at : at + width] for row in rows), width)
        for at, width in zip(starts, widths, strict=True)
    ]
    zigzag = b"".join(
        column[index * width : (index + 1) * width]
        for index in range(len(rows))
        for column, width in zip(columns, widths, strict=True)
    )
    assert deltas.summed_rows(zigzag, bytes(widths)) == rows
