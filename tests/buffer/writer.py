"""Writes to a buffer until it is killed; prints how many records are acknowledged after each flush."""

import asyncio
import sys
from pathlib import Path

from gateway.buffer.buffer import Buffer
from tests.values import METER, power


async def main(path: Path) -> None:
    buffer = await Buffer.open(path)
    for number in range(buffer.head, 1 << 30):
        buffer.put(METER, [power(number)])
        await buffer.flushed()
        print(number + 1, flush=True)  # noqa: T201
        if number % 17 == 0:
            await buffer.sealing.seal()


asyncio.run(main(Path(sys.argv[1])))
