"""Takes a meter's log into a buffer and kills itself between the records and the place; see test_backfill."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.buffer.buffer import Buffer
from gateway.buffer.doubtful import Doubtful
from gateway.buffer.pulled import Place, Pulled
from tests.gateway.backfilling import backfill_over


class Deadly(Pulled):
    """The power fails when the place is to be kept for the `left`th time."""

    left = 0

    async def keep(self, device: str, place: Place, aside: Sequence[Doubtful] = ()) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        await super().keep(device, place, aside)


async def main(path: Path, port: int, kept: int) -> None:
    buffer = await Buffer.open(path)
    places = Deadly(buffer._database)
    places.left = kept
    async with backfill_over(port, buffer, places) as taking:
        while await taking.backfill.step():
            pass


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
