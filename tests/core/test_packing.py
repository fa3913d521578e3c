"""What is packed comes back, and pieces of another kind do not spoil each other."""

import random

import pytest

from gateway.core import packing
from gateway.core.errors import CodecError


def test_kinds_of_bytes_take_less_as_pieces_than_as_one() -> None:
    draw = random.Random(1)
    pieces = [bytes(draw.choices(range(kinds), k=4000)) for kinds in (2, 16, 256)]
    packed = packing.pack(*pieces)
    assert packing.unpack(packed) == b"".join(pieces)
    assert len(packed) < 0.95 * len(packing.pack(b"".join(pieces)))


def test_a_spoilt_byte_is_noticed() -> None:
    packed = bytearray(packing.pack(b"holdfast" * 100))
    packed[-1] ^= 1
    with pytest.raises(CodecError):
        packing.unpack(bytes(packed))
