"""Alerts in the hub's database, and what receivers are to be told of them."""

from collections.abc import Sequence

import msgspec

from sync.hub.alerts.causes import NodeNow
from sync.hub.alerts.standing import Begin, Change, Known
from sync.hub.store.commandstore import heartbeat_of
from sync.hub.store.sql import Row, Sql
from sync.hub.web.paging import LAST
from sync.hub.web.rights import Caller, Role

# A page of nodes, and what is known of them.
NODES = """SELECT node.id, node.last_seen, node.revoked, coalesce(heartbeat.at, 0), heartbeat.body FROM node
    LEFT JOIN heartbeat ON heartbeat.node = node.id WHERE node.id > $1 ORDER BY node.id LIMIT $2"""
KNOWN = """SELECT id, node, device, kind, words, times, away, ended FROM alert
    WHERE node > $1 AND node <= $2 AND (ended IS NULL OR ended > $3) ORDER BY ended"""

BEGIN = """INSERT INTO alert (node, device, kind, since, words, changed) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING"""
CHANGES = {  # each: id, now, words
    "again": """UPDATE alert SET ended = NULL, away = NULL, times = times + 1, changed = $2, words = $3 WHERE id = $1
        AND ended IS NOT NULL AND NOT EXISTS (SELECT 1 FROM alert AS other WHERE other.node = alert.node
            AND other.kind = alert.kind AND other.device = alert.device AND other.ended IS NULL)""",
    "away": "UPDATE alert SET away = $2, words = $3 WHERE id = $1 AND ended IS NULL",
    "back": "UPDATE alert SET away = NULL, words = $3 WHERE id = $1 AND changed <= $2",
    "end": "UPDATE alert SET ended = $2, changed = $2, words = $3 WHERE id = $1 AND ended IS NULL",
    "words": "UPDATE alert SET words = $3 WHERE id = $1 AND changed <= $2",
}
# For those whose scope has the node, and who want the kind; of what began for all but what is acknowledged, of what
# ended for those who were told, or are about to be told, that it began.
QUEUE = """INSERT INTO notice (receiver, alert, times, what, created)
    SELECT receiver.id, alert.id, alert.times, CASE WHEN alert.ended IS NULL THEN 'began' ELSE 'ended' END, $1
    FROM alert JOIN node ON node.id = alert.node LEFT JOIN site ON site.id = node.site
    JOIN receiver ON receiver.organisation = '' OR (receiver.organisation = site.organisation
        AND (receiver.site = '' OR receiver.site = site.id))
    WHERE alert.changed = $1 AND alert.node > $2 AND alert.node <= $3
        AND (receiver.kinds = '' OR receiver.kinds LIKE '%,' || alert.kind || ',%')
        AND CASE WHEN alert.ended IS NULL THEN alert.acknowledged IS NULL ELSE EXISTS (SELECT 1 FROM notice AS earlier
            WHERE earlier.receiver = receiver.id AND earlier.alert = alert.id AND earlier.times = alert.times
            AND earlier.what = 'began') END
    ON CONFLICT DO NOTHING"""
UNQUEUE = "DELETE FROM notice WHERE alert = $1 AND sent IS NULL"

EXPECT_NODE = "INSERT INTO node (id, first_seen, last_seen) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING"
SUPERSEDE = """UPDATE alert SET ended = $3, changed = $3
    WHERE node = $1 AND kind = 'update_failed' AND ended IS NULL AND since < $2"""

# Everything is shown to who has a grant for everywhere ($1 = 1), else what the grants of the person ($2) cover.
SELECT = """SELECT alert.id, alert.node, coalesce(site.id, ''), coalesce(site.name, ''),
        coalesce(site.organisation, ''), alert.kind, alert.device, alert.words, alert.since, alert.ended,
        alert.times, alert.acknowledged, alert.acknowledged_by, alert.note
    FROM alert JOIN node ON node.id = alert.node LEFT JOIN site ON site.id = node.site
    WHERE ($1 = 1 OR EXISTS (SELECT 1 FROM person_grant AS own WHERE own.person = $2 AND (own.organisation = ''
        OR (own.organisation = site.organisation AND (own.site = '' OR own.site = site.id)))))"""
FILTERED = """ AND ($3 = '' OR alert.node = $3) AND ($4 = '' OR node.site = $4) AND ($5 = '' OR alert.kind = $5)
    AND alert.id < $6 AND """
PAGE = " ORDER BY alert.id DESC LIMIT $7"
LISTED = {
    "standing": SELECT + FILTERED + "alert.ended IS NULL" + PAGE,
    "ended": SELECT + FILTERED + "alert.ended IS NOT NULL" + PAGE,
    "all": SELECT + FILTERED + "1 = 1" + PAGE,
}
ONE = SELECT + " AND alert.id = $3"
COUNTED_MOST = 100
COUNT = f"SELECT count(*) FROM ({SELECT} AND alert.ended IS NULL AND alert.acknowledged IS NULL LIMIT $3) AS unseen"  # noqa: S608 - of ours
ACKNOWLEDGE = """UPDATE alert SET acknowledged = $2, acknowledged_by = $3, note = $4,
    ended = CASE WHEN ended IS NULL AND kind = 'update_failed' THEN $2 ELSE ended END WHERE id = $1"""

STANDING = "SELECT kind, count(*) FROM alert WHERE ended IS NULL GROUP BY kind"
FORGET = "DELETE FROM alert WHERE ended < $1"
KEEP_FLEET = """INSERT INTO setting (name, value) VALUES ('fleet', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
FLEET = "SELECT value FROM setting WHERE name = 'fleet'"


class Alert(msgspec.Struct, frozen=True):
    """One thing that is or was wrong; times are milliseconds since 1970 UTC, null: not, or not yet."""

    id: int
    node: str
    site: str  # empty, as the next two: the node has none
    site_name: str
    organisation: str
    kind: str
    device: str  # empty: it is the node's
    words: str
    since: int
    ended: int | None
    times: int  # how often it came back, and one
    acknowledged: int | None
    acknowledged_by: str
    note: str


class FleetTotals(msgspec.Struct, frozen=True):
    """The fleet as the last evaluation found it."""

    at: int
    nodes: int = 0
    online: int = 0
    backlog: int = 0  # records that are not here yet


class Alerts:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def nodes(self, after: str, most: int) -> list[NodeNow]:
        """Those that follow `after`, by id; their trend is not known."""
        return [_node(*row) for row in await self._sql.fetch(NODES, after, most)]

    async def known(self, after: str, last: str, ended_after: int) -> list[Known]:
        """Of the nodes beyond `after` up to `last`."""
        return [Known(*row) for row in await self._sql.fetch(KNOWN, after, last, ended_after)]

    async def change(self, todo: Sequence[Begin | Change], after: str, last: str, now: int) -> None:
        """Do it, and queue what receivers are to be told of it. `todo` is of the nodes beyond `after` up to `last`."""
        async with self._sql.transaction() as db:
            for one in todo:
                if isinstance(one, Begin):
                    cause = one.cause
                    await db.execute(BEGIN, one.node, cause.device, cause.kind, cause.since, cause.words, now)
                else:
                    await db.execute(CHANGES[one.what], one.id, now, one.words)
            await db.execute(QUEUE, now, after, last)

    async def update_failed(self, node: str, at: int, words: str, now: int) -> None:
        """By an event of `node`; told again it changes nothing."""
        async with self._sql.transaction() as db:
            await db.execute(EXPECT_NODE, node)
            await db.execute(SUPERSEDE, node, at, now)
            await db.execute(BEGIN, node, "", "update_failed", at, words, now)
            await db.execute(QUEUE, now, "", node)

    async def update_done(self, node: str, at: int, now: int) -> None:
        """What failed before is over."""
        async with self._sql.transaction() as db:
            await db.execute(SUPERSEDE, node, at, now)
            await db.execute(QUEUE, now, "", node)

    async def listed(
        self, caller: Caller, state: str, *, node: str = "", site: str = "", kind: str = "", before: int = LAST,
        most: int = 100,
    ) -> list[Alert]:  # fmt: skip
        """`state`: standing, ended or all. The newest first, with ids below `before`; only what `caller` may see."""
        rows = await self._sql.fetch(LISTED[state], *_scope(caller), node, site, kind, before, most)
        return [Alert(*row) for row in rows]

    async def one(self, caller: Caller, alert: int) -> Alert | None:
        """None: it is not there, or not `caller`'s to see."""
        rows = await self._sql.fetch(ONE, *_scope(caller), alert)
        return Alert(*rows[0]) if rows else None

    async def count(self, caller: Caller) -> int:
        """How many stand that nobody has seen, up to COUNTED_MOST; of those that `caller` may see."""
        return int((await self._sql.fetch(COUNT, *_scope(caller), COUNTED_MOST))[0][0])

    async def acknowledge(self, alert: int, who: str, note: str, now: int) -> None:
        """From now on it is quiet; one that only an event told of ends with that."""
        async with self._sql.transaction() as db:
            await db.execute(ACKNOWLEDGE, alert, now, who, note)
            await db.execute(UNQUEUE, alert)

    async def standing(self) -> dict[str, int]:
        """How many, by kind."""
        return dict(await self._sql.fetch(STANDING))  # type: ignore[arg-type]  # rows of two

    async def forget(self, before: int) -> None:
        """What ended before then."""
        async with self._sql.transaction() as db:
            await db.execute(FORGET, before)

    async def keep_totals(self, totals: FleetTotals) -> None:
        async with self._sql.transaction() as db:
            await db.execute(KEEP_FLEET, msgspec.json.encode(totals))

    async def totals(self) -> FleetTotals | None:
        """None: nothing was evaluated yet."""
        rows = await self._sql.fetch(FLEET)
        return msgspec.json.decode(rows[0][0], type=FleetTotals) if rows else None


def _scope(caller: Caller) -> Row:
    return int(caller.may(Role.VIEWER)), caller.name


def _node(node: str, last_seen: int, revoked: int | None, beat_at: int, body: bytes | None) -> NodeNow:
    return NodeNow(node, last_seen, beat_at, heartbeat_of(body), gone=revoked is not None or not last_seen)
