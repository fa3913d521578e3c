"""The pack: every bit pattern comes back, and nothing but a whole, sound pack is taken."""

import contextlib
import random
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import codec, packing, picking, varint
from gateway.core.errors import CodecError
from gateway.core.model import Layout, Point, Record

TYPES = ["bit", "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "text:1", "text:7"]
layouts = st.lists(st.sampled_from(TYPES), min_size=1, max_size=12).flatmap(
    lambda types: st.builds(
        lambda name: Layout(name, "live", tuple(Point(f"p{i}", type_) for i, type_ in enumerate(types))),
        st.sampled_from(["a", "b", "c"]),
    )
)
times = st.integers(-(1 << 53), 1 << 53)


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[dict[bytes, Layout], list[Record]]:
    """Records of a few layouts with any bytes in their rows, in any order of time, with gaps in seq."""
    known = {layout.id: layout for layout in draw(st.lists(layouts, min_size=1, max_size=4))}
    seqs = draw(st.lists(st.integers(0, 1 << 62), unique=True, max_size=30).map(sorted))
    records = []
    for seq in seqs:
        layout = draw(st.sampled_from(sorted(known.values(), key=lambda layout: layout.id)))
        row = draw(st.binary(min_size=layout.rows.size, max_size=layout.rows.size))
        records.append(Record(layout.id, draw(times), row, draw(st.integers(0, 255)), seq))
    return known, records


@given(mixtures())
def test_every_bit_pattern_of_every_type_comes_back(mixture: tuple[dict[bytes, Layout], list[Record]]) -> None:
    known, records = mixture
    assert codec.decode(codec.encode(records, known)) == records


def without_spare_bits(layout: Layout, row: bytes) -> bytes:
    """`row` as it would be packed: of its bitmap only the bits that stand for a point."""
    size = (len(layout.points) + 7) // 8
    missing = int.from_bytes(row[:size], "little") & ((1 << len(layout.points)) - 1)
    return missing.to_bytes(size, "little") + row[size:]


@given(mixtures())
def test_some_columns_of_a_pack_are_what_its_records_hold(mixture: tuple[dict[bytes, Layout], list[Record]]) -> None:
    known, records = mixture
    pack = codec.encode(records, known)
    assert sorted(codec.times(pack)) == sorted(record.ts for record in records)
    wanted = [(layout, range(len(layout.points))) for layout in known.values()]
    for (layout, indexes), columns in zip(wanted, picking.columns(pack, wanted), strict=True):
        mine = [record for record in records if record.layout_id == layout.id]
        assert (columns.seqs, columns.times) == ([r.seq for r in mine], [r.ts for r in mine])
        rows = [layout.rows.unpack(without_spare_bits(layout, record.row)) for record in mine]
        for index in indexes:
            text = layout.points[index].type.startswith("text")
            expected = [None if text else row[index] for row in rows]
            assert list(map(repr, columns.values[index])) == list(map(repr, expected)), "NaN is not equal to itself"


def one_layout(type_: str) -> Layout:
    return Layout("meter", "live", (Point("power", type_),))


@pytest.mark.parametrize("payload", [0x7FC00000, 0x7F800001, 0xFFC12345, 0xFF800000, 0x80000000])
def test_a_float_keeps_its_payload_whatever_it_is(payload: int) -> None:
    layout = one_layout("f32")
    record = Record(layout.id, 0, b"\0" + struct.pack(">I", payload), 0, 0)
    assert codec.decode(codec.encode([record], {layout.id: layout})) == [record]


def test_no_records_make_an_empty_pack() -> None:
    assert codec.decode(codec.encode([], {})) == []


def sample() -> bytes:
    layout = one_layout("u32")
    records = [Record(layout.id, 1000 * seq, layout.rows.pack([seq * seq]), 0, seq) for seq in range(50)]
    return codec.encode(records, {layout.id: layout})


@given(st.data())
def test_a_truncated_pack_is_refused(data: st.DataObject) -> None:
    pack = sample()
    with pytest.raises(CodecError):
        codec.decode(pack[: data.draw(st.integers(0, len(pack) - 1))])


@given(st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject) -> None:
    pack = bytearray(sample())
    pack[data.draw(st.integers(0, len(pack) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(CodecError):
        assert codec.decode(bytes(pack)) == codec.decode(sample())  # a bit of the header that changes nothing


@given(st.binary(max_size=300))
def test_foreign_bytes_inside_a_sound_envelope_are_refused_or_are_records(content: bytes) -> None:
    with contextlib.suppress(CodecError):
        assert isinstance(codec.decode(zstandard.compress(content)), list)


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    with pytest.raises(CodecError, match="at most"):
        codec.decode(zstandard.compress(bytes(packing.UNPACKED_MAX + 1)))


def test_a_pack_of_a_newer_version_says_so() -> None:
    with pytest.raises(CodecError, match="version 9"):
        codec.decode(zstandard.compress(b"\x09"))


@given(st.lists(st.integers(-(1 << 62), 1 << 62)))
def test_curves_come_back(numbers: list[int]) -> None:
    out = bytearray()
    varint.put_curve(out, numbers)
    assert varint.Reader(bytes(out)).curve(len(numbers)) == numbers


def test_threads_pack_and_unpack_at_once_without_harm() -> None:
    """Sealing packs in a worker while a commit packs on the loop; one compressor between them would crash."""
    layout = Layout("meter", "live", tuple(Point(f"p{index}", "f32") for index in range(40)))
    noise = random.Random(1)

    def work(count: int) -> bool:
        records = [
            Record(layout.id, seq, noise.randbytes(layout.rows.size), 0, seq) for seq in range(count)
        ]  # of different sizes, so that each would spoil the other's
        return all(codec.decode(codec.encode(records, {layout.id: layout})) == records for _ in range(20))

    with ThreadPoolExecutor(3) as workers:
        assert all(workers.map(work, [1200, 140, 150]))


def test_packs_of_the_release_before_are_still_read() -> None:
    """Made by it: its planes stand column by column."""
    old = bytes.fromhex(
        "28b52ffd2479ed0200a2051421b025e9f83a61c1597bab2bed2ceb780149d401c3c921c8071344694db5cdb64c01e88fa46db14e"
        "335b59d8ff10fed636f12be7dc6bad11f1de3f19fe3c375acc168909f102886a027460de80c2001b0300bbf40815c608a007045cff71"
    )
    points = (Point("power", "u32"), Point("voltage", "u16"), Point("name", "text:2"), Point("energy", "f64"))
    meter, other = Layout("meter", "live", points), Layout("other", "live", (Point("power", "i8"),))
    rows = [meter.rows.pack([70_000 * n, 2300 - n, "ab", n / 3]) for n in range(4)]
    records = [Record(meter.id, 1000 * n, row, n % 2, 2 * n) for n, row in enumerate(rows)]
    assert codec.decode(old) == [*records, Record(other.id, 5, other.rows.pack([-3]), 0, 9)]
    (columns,) = picking.columns(old, [(meter, (0, 3))])
    assert columns.values == [[70_000 * n for n in range(4)], [n / 3 for n in range(4)]]
