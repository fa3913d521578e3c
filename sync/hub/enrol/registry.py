"""The nodes that may come in: their secrets, where they stand, and whether they were revoked.

A node has one secret for good (`until` NULL); while it is changed, the one before it is good beside it, for a while.
"""

import logging
from collections.abc import Sequence

from gateway.core.clock import Clock
from gateway.core.rollup import DAY_MS
from sync.hub.config import NodeConfig
from sync.hub.store.sql import Sql, Work

log = logging.getLogger(__name__)
BESIDE_MS = 7 * DAY_MS  # so long the old secret is good beside the new one, until the new one is used

GOOD = """SELECT node_secret.sha256 FROM node_secret JOIN node ON node.id = node_secret.node
    WHERE node_secret.node = $1 AND node.revoked IS NULL AND (node_secret.until IS NULL OR node_secret.until > $2)
    ORDER BY CASE WHEN node_secret.until IS NULL THEN 0 ELSE 1 END, node_secret.created DESC"""
SETTLE = """DELETE FROM node_secret WHERE node = $1 AND sha256 <> $2 AND EXISTS
    (SELECT 1 FROM node_secret newest WHERE newest.node = $1 AND newest.sha256 = $2 AND newest.until IS NULL)"""
KNOWN = "SELECT 1 FROM node_secret WHERE node = $1 LIMIT 1"
ENTER = """INSERT INTO node (id, first_seen, last_seen, records) VALUES ($1, 0, 0, 0) ON CONFLICT (id) DO NOTHING"""
ADD = """INSERT INTO node_secret (node, sha256, created) VALUES ($1, $2, $3)
    ON CONFLICT (node, sha256) DO UPDATE SET until = NULL"""
OTHERS_END = "UPDATE node_secret SET until = $3 WHERE node = $1 AND sha256 <> $2 AND (until IS NULL OR until > $3)"
OTHERS_ARE_OUT = "DELETE FROM node_secret WHERE node = $1 AND sha256 <> $2"
HELD = "SELECT 1 FROM node_secret WHERE node = $1 AND sha256 = $2 AND until IS NULL"
ALL_ARE_OUT = "DELETE FROM node_secret WHERE node = $1"
OF_FILES = "SELECT id, file_sha256, hardware FROM node WHERE file_sha256 IS NOT NULL"
OF_FILE = "UPDATE node SET file_sha256 = $2 WHERE id = $1"
STANDS = "UPDATE node SET site = $2 WHERE id = $1 AND EXISTS (SELECT 1 FROM site WHERE id = $2)"
REVOKE = "UPDATE node SET revoked = $2 WHERE id = $1 AND revoked IS NULL"
RESTORE = "UPDATE node SET revoked = NULL WHERE id = $1 AND revoked IS NOT NULL"


class Registry:
    """See `Secrets`. All methods raise StorageError; what they change counts from the next request on."""

    def __init__(self, sql: Sql, clock: Clock, *, beside_ms: int = BESIDE_MS) -> None:
        self._sql = sql
        self._clock = clock
        self._beside_ms = beside_ms

    async def of(self, node: str) -> Sequence[str]:
        """See `Secrets.of`."""
        return [sha256 for (sha256,) in await self._sql.fetch(GOOD, _text(node), self._clock.wall_ms())]

    async def settle(self, node: str, newest: str) -> None:
        """See `Secrets.settle`."""
        async with self._sql.transaction() as db:
            await db.execute(SETTLE, node, newest)

    async def knows(self, node: str) -> bool:
        """Whether it may come in, or could before it was revoked."""
        return bool(await self._sql.fetch(KNOWN, _text(node)))

    async def holds(self, node: str, sha256: str) -> bool:
        """Whether that is the node's secret for good."""
        return bool(await self._sql.fetch(HELD, node, sha256))

    async def renew(self, node: str, sha256: str) -> None:
        """A new secret, with the one before it good beside it for a while; the same again changes nothing."""
        now = self._clock.wall_ms()
        async with self._sql.transaction() as db:
            if not await db.fetch(HELD, node, sha256):
                await db.execute(OTHERS_END, node, sha256, now + self._beside_ms)
                await db.execute(ADD, node, sha256, now)

    async def revoke(self, node: str) -> bool:
        """Whether it was not yet."""
        async with self._sql.transaction() as db:
            return await db.execute(REVOKE, node, self._clock.wall_ms()) == 1

    async def restore(self, node: str) -> bool:
        """Let it in again, with the secrets that it had; whether it was revoked."""
        async with self._sql.transaction() as db:
            return await db.execute(RESTORE, node) == 1

    async def take_file(self, nodes: Sequence[NodeConfig]) -> None:
        """What the hub's file says of nodes, where it says another thing than at the start before.

        So a secret that was changed over the air stays good, and the file's, which is older, stays bad.
        """
        now = self._clock.wall_ms()
        async with self._sql.transaction() as db:
            before = {node: (sha256, hardware) for node, sha256, hardware in await db.fetch(OF_FILES)}
            for node in nodes:
                if before.pop(node.id, (None, None))[0] != node.secret_sha256:
                    await db.execute(ENTER, node.id)
                    await only(db, node.id, node.secret_sha256, now)
                    await db.execute(OF_FILE, node.id, node.secret_sha256)
                if node.site is not None and await db.execute(STANDS, node.id, node.site) == 0:
                    log.warning("no such site", extra={"node": node.id, "site": node.site})
            for gone, (_, hardware) in before.items():
                if hardware is None:  # else it was enrolled with a code since, and stays
                    await db.execute(ALL_ARE_OUT, gone)
                await db.execute(OF_FILE, gone, None)


async def only(db: Work, node: str, sha256: str, now: int) -> None:
    """This secret, and no other, from now on."""
    await db.execute(OTHERS_ARE_OUT, node, sha256)
    await db.execute(ADD, node, sha256, now)


def _text(node: str) -> str:
    """What a header brings may be no text that a database takes; no node is called that."""
    return node if node.isascii() and "\0" not in node else ""
