"""Work on many hours of many series, under the lock that a node's batches take as well.

Every batch locks its node's row before anything else. Whoever has that lock sees all that is marked and nothing that is
half done, and what it decides of an hour still holds when it commits.
"""

from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

from gateway.core.clock import Clock
from sync.hub.store.sql import Row, Sql

LOCK = "UPDATE node SET last_seen = last_seen WHERE id = $1"
AT_ONCE_S = 0.1  # in one transaction, about: for so long the node's batches wait

Step = Callable[..., Awaitable[None]]
"""Takes a `Work` and what follows the node in a row."""


async def each(sql: Sql, clock: Clock, rows: Iterable[Row], step: Step, until: float) -> bool:
    """Do `step` for each of `rows` (node, ...), neighbours of one node together; False: `until` (monotonic) came first.

    Raises StorageError.
    """
    for node, of_node in groupby(rows, key=itemgetter(0)):
        left: list[Any] = list(of_node)
        while left:
            if clock.monotonic_s() >= until:
                return False
            async with sql.transaction() as db:
                await db.execute(LOCK, node)
                begun = clock.monotonic_s()
                while left and clock.monotonic_s() < begun + AT_ONCE_S:
                    _, *hour = left.pop(0)
                    await step(db, *hour)
    return True
