"""`holdfast sync receipt`: what the hub has taken of a carried file is not sent any more."""

import io
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.buffer.buffer import Buffer
from gateway.config import HubLink
from gateway.core import credential
from gateway.core.errors import CodecError
from gateway.core.span import Span
from sync import carry
from sync.edge import spans as span_math
from sync.edge.outbox import Kind
from sync.edge.outgoing import Outgoing
from sync.wire import Answer, parse_cursor


class Receipt(NamedTuple):
    """What the hub has taken of one buffer, by stream."""

    epoch: str
    taken: dict[Kind, list[Span]]

    @property
    def records(self) -> int:
        return sum(map(len, self.taken["records"]))

    def text(self, left: int) -> str:
        """What came of it, in words; `left`: records that are still to be sent."""
        return f"the hub has {self.records:,} records of it; {left:,} are left to send"

    def check(self, epoch: str) -> None:
        """Raises CodecError where it is of another buffer than that of this epoch."""
        if self.epoch != epoch:
            raise CodecError(
                "the receipt is of another buffer than this one, which was set aside, or restored",
                hint="nothing is lost: what the hub has already is sent once more, and kept once",
            )


def read(body: bytes, hub: HubLink) -> Receipt:
    """Raises CodecError for anything but a whole receipt that the hub gave this node."""
    file = io.BytesIO(body)
    opening = carry.opening(file)
    if opening.node != hub.node_id:
        why = f"the receipt is of node {opening.node}, and this is {hub.node_id}"
        raise CodecError(why, hint="take it to that node")
    taken: dict[Kind, list[Span]] = {"records": [], "events": []}
    for batch in carry.read(file, carry.key_of(credential.digest(hub.secret)), "receipt"):
        if batch.type != "layouts":
            taken[batch.type] += _taken(batch)
    return Receipt(opening.epoch, taken)


def _taken(batch: carry.Batch) -> span_math.Spans:
    cursor = parse_cursor(batch.cursor)
    left: span_math.Spans = (Span(cursor.lo, cursor.hi),)
    for one in msgspec.json.decode(batch.body, type=Answer).rejected:  # come to the hub, and into quarantine, as others
        left = span_math.without(left, Span(one.seq, one.seq + 1))
    return left


async def acknowledge(path: Path, found: Receipt) -> int:
    """Note in the file of a buffer whose gateway does not run what the hub has; how many records are left to send.

    Raises RefusedFileError where a gateway runs, CodecError, StorageError.
    """
    buffer = await Buffer.open(path)
    try:
        found.check(buffer.epoch)
        left = {
            stream: await Outgoing(stream, buffer).acknowledged(found.epoch, spans)
            for stream, spans in found.taken.items()
        }
        await buffer.flushed()
        return span_math.length(left["records"])
    finally:
        await buffer.close()
