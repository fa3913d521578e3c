"""What a buffer has, read back."""

from gateway.buffer.buffer import Buffer
from gateway.core import codec
from gateway.core.model import Record
from gateway.core.span import Span


async def everything(buffer: Buffer) -> list[Record]:
    """All that the buffer has, in the order in which it took it."""
    records: dict[int, Record] = {}
    left = Span(0, buffer.head)
    while left:
        covered, packs = await buffer.read(left, 1000)
        records |= {record.seq: record for pack in packs for record in codec.decode(pack)}
        left = Span(covered.hi, left.hi)
    return [records[seq] for seq in sorted(records)]
