"""What the hub keeps of its nodes' configurations: what they report, and what they are to have."""

import msgspec

from gateway.core.configreport import ConfigReport
from sync.hub.store.sql import Sql

HISTORY = 50  # desired ones that are kept of each node
REPORT = """INSERT INTO node_config (node, digest, at, report) VALUES ($1, $2, $3, $4)
    ON CONFLICT (node) DO UPDATE SET digest = excluded.digest, at = excluded.at, report = excluded.report"""
REPORTED = "SELECT at, report FROM node_config WHERE node = $1"
HAS = "SELECT 1 FROM node_config WHERE node = $1 AND digest = $2"
WANT = """INSERT INTO desired_config (id, node, at, made_by, reason, sha256, text)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING"""
FORGET = """DELETE FROM desired_config WHERE node = $1 AND id NOT IN
    (SELECT id FROM desired_config WHERE node = $1 ORDER BY at DESC, id DESC LIMIT $2)"""
SUPERSEDE = """UPDATE command SET state = 'expired', changed = $3, detail = 'superseded by a later configuration'
    WHERE state = 'queued' AND id IN (SELECT id FROM desired_config WHERE node = $1 AND id <> $2 AND at <= $3)"""
TEXT = "SELECT text FROM desired_config WHERE id = $1"
WANTED = """SELECT d.id, d.at, d.made_by, d.reason, d.sha256,
        coalesce(c.state, 'expired'), coalesce(c.changed, d.at), coalesce(c.detail, 'it was never ordered')
    FROM desired_config AS d LEFT JOIN command AS c ON c.id = d.id
    WHERE d.node = $1 ORDER BY d.at DESC, d.id DESC LIMIT $2"""
BEAT = "SELECT at, body FROM heartbeat WHERE node = $1"


class Desired(msgspec.Struct, frozen=True):
    """A configuration that a node is to have; `state` and `changed` of the command that brings it, with its words."""

    id: str
    at: int
    by: str
    reason: str
    sha256: str
    state: str
    changed: int
    words: str


class ConfigStore:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def has(self, node: str, digest: str) -> bool:
        """Whether that is what is kept of the node."""
        return bool(await self._sql.fetch(HAS, node, digest))

    async def report(self, node: str, digest: str, report: ConfigReport, now: int) -> None:
        """Keep it in the place of the last one."""
        async with self._sql.transaction() as db:
            await db.execute(REPORT, node, digest, now, msgspec.json.encode(report))

    async def reported(self, node: str) -> tuple[int, ConfigReport] | None:
        """When it came, and what; None: nothing came yet."""
        rows = await self._sql.fetch(REPORTED, node)
        return (rows[0][0], msgspec.json.decode(rows[0][1], type=ConfigReport)) if rows else None

    async def want(self, node: str, wish: Desired, text: str) -> None:
        """Keep it, once; its command's part is not looked at."""
        async with self._sql.transaction() as db:
            await db.execute(WANT, wish.id, node, wish.at, wish.by, wish.reason, wish.sha256, text.encode())
            await db.execute(FORGET, node, HISTORY)

    async def supersede(self, node: str, by: str, now: int) -> None:
        """Take back what was wanted before the one of this id, where the node does not have it yet."""
        async with self._sql.transaction() as db:
            await db.execute(SUPERSEDE, node, by, now)

    async def wanted(self, node: str) -> list[Desired]:
        """The newest first."""
        return [Desired(*row) for row in await self._sql.fetch(WANTED, node, HISTORY)]

    async def text(self, wish: str) -> str:
        """Of a desired one, by its id; empty where it is not kept any more."""
        rows = await self._sql.fetch(TEXT, wish)
        return bytes(rows[0][0]).decode() if rows else ""

    async def last_beat(self, node: str) -> tuple[int, bytes] | None:
        """When the last heartbeat came, and the Heartbeat as JSON."""
        rows = await self._sql.fetch(BEAT, node)
        return (rows[0][0], bytes(rows[0][1])) if rows else None
