"""Pieces of the backlog as batches: packs as the buffer has them, unpacked only where a piece must be cut."""

import contextlib
from collections.abc import Mapping, Sequence

from gateway.core import codec
from gateway.core.errors import CodecError
from gateway.core.model import Layout, Record
from gateway.core.span import Span
from sync.edge.outbox import Outbox

RECORDS_MAX = 20_000
SMALL_BYTES = 256 * 1024  # small packs go together up to this


async def newest(outbox: Outbox, wanted: Span) -> tuple[Span, list[bytes]]:
    """The last piece of `wanted`, as the buffer is cut, and the part of it that it covers. Raises StorageError."""
    while True:
        covered, packs = await outbox.read(wanted, RECORDS_MAX)
        if covered.hi >= wanted.hi:
            return covered, packs
        wanted = Span(covered.hi, wanted.hi)


async def front(outbox: Outbox, wanted: Span, most: int) -> tuple[Span, list[bytes]]:
    """The front of `wanted`: at least a piece as the buffer is cut, and more where pieces are small.

    Raises StorageError.
    """
    covered, packs = await outbox.read(wanted, most)
    while covered.hi < wanted.hi and len(covered) < most // 2 and sum(map(len, packs)) < SMALL_BYTES:
        more, its_packs = await outbox.read(Span(covered.hi, wanted.hi), most)
        covered, packs = Span(covered.lo, more.hi), packs + its_packs
    return covered, packs


def records(packs: Sequence[bytes], within: Span) -> list[Record]:
    """By seq; packs of one batch may hold records of other seqs too."""
    found = [record for pack in packs for record in codec.readable(pack) if within.lo <= record.seq < within.hi]
    return sorted(found, key=lambda record: record.seq)


def encoded(chosen: Sequence[Record], layouts: Mapping[bytes, Layout]) -> list[bytes]:
    return [codec.encode(chosen, layouts)] if chosen else []


def times(packs: Sequence[bytes]) -> list[int]:
    """When their records were measured; of a pack that a disk has spoilt, the hub says what it thinks of it."""
    found: list[int] = []
    for pack in packs:
        with contextlib.suppress(CodecError):
            found += codec.times(pack)
    return found
