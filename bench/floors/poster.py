"""Floor: the batches of a backlog, read beforehand, posted one after the other and nothing else."""

import asyncio
import json
import time
from argparse import ArgumentParser
from pathlib import Path

import aiohttp
import msgspec

from bench.site import NODE, SECRET
from gateway.buffer.buffer import Buffer
from gateway.core.span import Span
from sync import wire
from sync.edge.pieces import RECORDS_MAX


async def batches(file: Path) -> list[tuple[str, bytes]]:
    """Cursor and body of each batch of all that is in the buffer."""
    buffer = await Buffer.open(file)
    found, at = [], 0
    while at < buffer.head:
        covered, packs = await buffer.read(Span(at, buffer.head), RECORDS_MAX)
        cursor = wire.Cursor(buffer.epoch, covered.lo, covered.hi)
        found.append((str(cursor), msgspec.msgpack.encode(wire.Records(packs))))
        at = covered.hi
    await buffer.close()
    return found


async def post(file: Path, url: str, rounds: int) -> None:
    """Prints seconds and bytes of all rounds."""
    own = {wire.NODE_ID: NODE, wire.NODE_SECRET: SECRET, wire.BATCH_TYPE: "records"}
    every = await batches(file)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1), raise_for_status=True) as session:
        begun = time.perf_counter()
        for cursor, body in every * rounds:
            async with session.post(url + wire.PATH, data=body, headers=own | {wire.CURSOR: cursor}) as response:
                await response.read()
        seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "bytes": rounds * sum(len(body) for _, body in every)}))


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="a buffer that nobody has open")
    parser.add_argument("url", help="of the hub")
    parser.add_argument("rounds", type=int)
    options = parser.parse_args()
    asyncio.run(post(options.file, options.url, options.rounds))
