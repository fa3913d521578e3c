"""What many nodes send to a hub: the gateway's own batches, made beforehand and posted under the name of each."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec

from bench.flat import Filler
from bench.measurements import LAYOUTS
from bench.site import SECRET
from gateway.buffer.buffer import Buffer
from gateway.core import codec
from gateway.core.model import Record
from gateway.core.span import Span
from sync import wire

Batch = tuple[str, bytes]  # cursor and body


async def live_batches(file: Path, ticks: int) -> list[Batch]:
    """One of each tick, one a second, up to now; `file` is new."""
    buffer, found = await Buffer.open(file), []
    filler = Filler(buffer, 1000, start_ms=time.time_ns() // 1_000_000 - ticks * 1000)
    for _ in range(ticks):
        lo = buffer.head
        filler.put(filler.tick())
        await buffer.flushed()
        covered, packs = await buffer.read(Span(lo, buffer.head), buffer.head - lo)
        cursor = wire.Cursor(buffer.epoch, covered.lo, covered.hi)
        found.append((str(cursor), msgspec.msgpack.encode(wire.Records(packs))))
    await buffer.close()
    return found


def records_of(batch: Batch) -> list[Record]:
    packs = msgspec.msgpack.decode(batch[1], type=wire.Records).packs
    return [record for pack in packs for record in codec.decode(pack)]


class Senders:
    """Nodes with their hubs, by name; each sends its batches one after the other."""

    def __init__(self, session: aiohttp.ClientSession, hubs: Mapping[str, str]) -> None:
        self._session = session
        self._hubs = hubs

    async def introduce(self) -> None:
        """Have every hub know the layouts of its nodes."""
        body = msgspec.msgpack.encode(wire.Layouts([layout.encoded for layout in LAYOUTS]))
        for node in self._hubs:
            await self._post(node, "layouts", ("0123456789abcdef:0-0", body))

    async def send(self, nodes: Sequence[str], batches: Sequence[Batch]) -> float:
        """All of them from each of `nodes`, which send at the same time. Returns the seconds that it took."""
        begun = time.perf_counter()
        await asyncio.gather(*(self._send(node, batches) for node in nodes))
        return time.perf_counter() - begun

    async def _send(self, node: str, batches: Sequence[Batch]) -> None:
        for batch in batches:
            await self._post(node, "records", batch)

    async def _post(self, node: str, batch_type: str, batch: Batch) -> None:
        cursor, body = batch
        own = {wire.NODE_ID: node, wire.NODE_SECRET: SECRET, wire.BATCH_TYPE: batch_type, wire.CURSOR: cursor}
        async with self._session.post(self._hubs[node] + wire.PATH, data=body, headers=own) as response:
            answer = msgspec.json.decode(await response.read(), type=wire.Answer)
        if answer.duplicate and batch_type == "records":
            raise RuntimeError(f"{node}: {answer.duplicate} records of {cursor} were there already")
