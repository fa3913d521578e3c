"""A process of a hub, without its doors, to be killed: it takes batches, rolls up and closes hours, again and again.

It says which batch comes next, by the seed of its `times`, before it takes it.
"""

import asyncio
import random
import sys
from pathlib import Path

from gateway.core.model import Record
from gateway.core.rollup import DAY_MS, HOUR_MS
from sync.hub.config import RetentionConfig
from sync.hub.rollup.retention import Retention
from sync.hub.rollup.rolling import Rolling
from sync.hub.store.contract import Store
from tests.hub.clock import StoppedClock
from tests.hub.stores import audit, opened
from tests.values import METER, power

BEGIN = 20_000 * DAY_MS
DAYS = 15  # that hours are spread over, one a day
LIMITS = RetentionConfig(raw_days=7, minute_days=10_000)


def times(seed: int) -> list[int]:
    """Ten seconds apart, many of them in other batches, too."""
    chosen = random.Random(seed)
    begin = BEGIN + chosen.randrange(DAYS) * DAY_MS
    return sorted({begin + 10_000 * chosen.randrange(HOUR_MS // 10_000) for _ in range(chosen.choice((1, 300)))})


def records(seed: int) -> list[Record]:
    return [power(ts, ts // 1000 % 997) for ts in times(seed)]


async def care(store: Store, now: int) -> None:
    await Rolling(store.sql, StoppedClock()).turn(now)
    await Retention(store.sql, StoppedClock(), LIMITS).turn(now)


async def feed(where: str, folder: Path, seed: int) -> None:
    """Each batch comes a day later than the one before, so that hours are closed, and come again."""
    async with opened(where, folder) as store:
        await store.take_layouts([METER], audit())
        while True:
            print(seed, flush=True)  # noqa: T201 - what the test reads
            now = BEGIN + (DAYS + seed % 1000) * DAY_MS
            await asyncio.gather(store.take_records(records(seed), audit(at=now)), care(store, now))
            seed += 1


if __name__ == "__main__":
    asyncio.run(feed(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
