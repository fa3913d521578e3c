"""Of which hours a node holds other records than the hub, by the node's last word; the hub keeps those that differ."""

from collections.abc import Collection, Sequence

from sync.hub.store.sql import Sql

DIFFERING = "SELECT layout, hour FROM differing_hour WHERE node = $1 AND hour >= $2 AND hour <= $3"
AGREES = "DELETE FROM differing_hour WHERE node = $1 AND layout = $2 AND hour = $3"
DIFFERS = """INSERT INTO differing_hour (node, layout, hour, count, at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (node, layout, hour) DO UPDATE SET count = excluded.count, at = excluded.at"""
BETWEEN = "SELECT layout, hour, count FROM differing_hour WHERE node = $1 AND hour >= $2 AND hour < $3"

Key = tuple[bytes, int]
"""A layout's id, and when an hour begins in ms."""
COUNT_MAX = (1 << 62) - 1


class Ledgers:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def note(self, node: str, compared: Sequence[Key], differing: Collection[tuple[Key, int]], now: int) -> None:
        """`differing`: those of `compared` that differ, with how many records the node holds."""
        if not compared:
            return
        hours = [hour for _, hour in compared]
        known = {
            (bytes(layout), hour) for layout, hour in await self._sql.fetch(DIFFERING, node, min(hours), max(hours))
        }
        agreeing = known & (set(compared) - {key for key, _ in differing})
        if not agreeing and not differing:
            return
        async with self._sql.transaction() as db:
            for layout, hour in agreeing:
                await db.execute(AGREES, node, layout, hour)
            for (layout, hour), count in differing:
                await db.execute(DIFFERS, node, layout, hour, max(0, min(count, COUNT_MAX)), now)

    async def between(self, node: str, since: int, until: int) -> dict[Key, int]:
        """How many records the node holds, of the hours that differed."""
        rows = await self._sql.fetch(BETWEEN, node, since, until)
        return {(bytes(layout), hour): count for layout, hour, count in rows}
