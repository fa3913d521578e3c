"""What the hub keeps of roll-outs. A node is marked and its command queued in one transaction, while it runs."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from gateway.core.model import Command
from sync.hub.fleet.configstore import WANT
from sync.hub.fleet.rolloutplan import Health, Member
from sync.hub.store.commandstore import ORDER, heartbeat_of
from sync.hub.store.contract import ONLINE_MS
from sync.hub.store.sql import Row, Sql
from sync.hub.web.rights import Grant, Place, Role

CREATE = """INSERT INTO rollout (id, organisation, site, made_by, created, changed, state, undoes, spec)
    VALUES ($1, $2, $3, $4, $5, $5, 'running', $6, $7)"""
# What undoes another one has the texts that the nodes had before that one.
ADD = """INSERT INTO rollout_node (rollout, node, wave, command, text)
    VALUES ($1, $2, $3, $4, (SELECT former FROM rollout_node WHERE rollout = $5 AND node = $2))"""
TEXT = "SELECT text FROM rollout_node WHERE rollout = $1 AND node = $2"
FIELDS = """id, organisation, site, made_by, created, changed, state, why, undoes, spec,
    (SELECT count(*) FROM rollout_node AS n WHERE n.rollout = rollout.id),
    (SELECT count(*) FROM rollout_node AS n WHERE n.rollout = rollout.id AND n.ordered IS NOT NULL),
    (SELECT count(*) FROM rollout_node AS n WHERE n.rollout = rollout.id AND n.ill <> '')"""
ONE = f"SELECT {FIELDS} FROM rollout WHERE id = $1"  # noqa: S608 - of constants
RUNNING = "SELECT id FROM rollout WHERE state = 'running' ORDER BY created, id"
LIST = f"""SELECT {FIELDS} FROM rollout WHERE created < $1 OR (created = $1 AND id < $2)
    ORDER BY created DESC, id DESC LIMIT $3"""  # noqa: S608
MEMBERS = """SELECT r.node, r.wave, r.command, r.ordered, r.ill, r.before, r.former IS NOT NULL, c.state, c.changed,
        coalesce(c.detail, ''), n.last_seen, h.body, coalesce(s.organisation, ''), coalesce(s.id, '')
    FROM rollout_node AS r JOIN node AS n ON n.id = r.node LEFT JOIN site AS s ON s.id = n.site
    LEFT JOIN heartbeat AS h ON h.node = r.node
    LEFT JOIN command AS c ON c.id = r.command
    WHERE r.rollout = $1 AND r.node > $2 ORDER BY r.node LIMIT $3"""
# Takes the row's lock: who stops a roll-out waits for who is ordering, and then finds what was ordered.
HOLD = "UPDATE rollout SET changed = $2 WHERE id = $1 AND state = 'running'"
MARK = """UPDATE rollout_node SET ordered = $3, before = $4, text = $5, former = $6
    WHERE rollout = $1 AND node = $2 AND ordered IS NULL"""
ILL = "UPDATE rollout_node SET ill = $3 WHERE rollout = $1 AND node = $2 AND ill = ''"
MOVE = "UPDATE rollout SET state = $3, why = $4, changed = $5 WHERE id = $1 AND state = $2"
WITHDRAW = """UPDATE command SET state = 'expired', changed = $2, detail = $3 WHERE state = 'queued'
    AND id IN (SELECT command FROM rollout_node WHERE rollout = $1 AND ordered IS NOT NULL)"""
WAVES = """SELECT r.wave, count(*), sum(CASE WHEN r.ordered IS NOT NULL THEN 1 ELSE 0 END),
        sum(CASE WHEN r.ill <> '' THEN 1 ELSE 0 END), sum(CASE WHEN r.ill = '' AND c.state = 'done' THEN 1 ELSE 0 END),
        max(c.changed)
    FROM rollout_node AS r LEFT JOIN command AS c ON c.id = r.command
    WHERE r.rollout = $1 GROUP BY r.wave ORDER BY r.wave"""
CANDIDATES = """SELECT n.id, coalesce(s.organisation, ''), coalesce(s.id, ''), n.last_seen
    FROM node AS n LEFT JOIN site AS s ON s.id = n.site
    WHERE n.revoked IS NULL AND ($1 = '' OR s.organisation = $1) AND ($2 = '' OR s.id = $2) ORDER BY n.id"""
STANDING = "SELECT node, kind, device FROM alert WHERE ended IS NULL ORDER BY node, kind, device"
VERSIONS = """SELECT coalesce(s.organisation, ''), coalesce(s.id, ''), h.body FROM node AS n
    LEFT JOIN site AS s ON s.id = n.site LEFT JOIN heartbeat AS h ON h.node = n.id WHERE n.revoked IS NULL"""
ALL = 1_000_000

State = Literal["running", "paused", "stopped", "done"]
ENDS = ("done", "failed", "expired", "unknown")


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a roll-out brings, and how carefully."""

    kind: Literal["configure", "update"]
    patch: Annotated[str, msgspec.Meta(max_length=100_000)] = ""  # laid over each node's site.yaml, as YAML
    text: Annotated[str, msgspec.Meta(max_length=262_144)] = ""  # or the whole site.yaml, of one node alone
    release: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.+_-]{0,64}\Z")] = ""  # of an update
    waves: Annotated[tuple[str, ...], msgspec.Meta(max_length=20)] = ("1", "10%", "50%", "100%")
    soak_s: Annotated[float, msgspec.Meta(ge=0, le=30 * 86_400)] = 600.0
    ill_max: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0  # more of one wave, and it stops
    valid_s: Annotated[float, msgspec.Meta(ge=60, le=30 * 86_400)] = 86_400.0  # within which a node has to fetch it
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class Rollout(msgspec.Struct, frozen=True):
    """One row; times are milliseconds since 1970 UTC."""

    id: str
    organisation: str
    site: str
    by: str
    created: int
    changed: int
    state: State
    why: str
    undoes: str
    spec: Spec
    nodes: int
    ordered: int
    ill: int

    @property
    def place(self) -> Place:
        """Whose operators have it in hand; nodes that leave it are not theirs any more."""
        return Place(self.organisation, self.site)

    def reaches(self, place: Place) -> bool:
        return Grant(Role.OPERATOR, self.organisation, self.site).covers(place)


class RolloutNode(msgspec.Struct, frozen=True):
    """A node of a roll-out with all that is known of it now."""

    node: str
    wave: int
    command: str
    ordered: int | None
    ill: str
    before: Health | None
    had_text: bool  # it is known what it had before
    state: str | None
    changed: int | None
    words: str
    last_seen: int
    beat: bytes | None
    place: Place

    def health(self, now: int, alerts: tuple[str, ...] = ()) -> Health:
        beat = heartbeat_of(self.beat)
        online = now - self.last_seen < ONLINE_MS
        return Health(online, beat.problems if beat else (), beat.backlog if beat else 0, alerts)

    @property
    def member(self) -> Member:
        ended = self.changed if self.state in ENDS else None
        state = (self.state or "queued") if self.ordered is not None else None
        return Member(self.node, self.wave, state, ended, self.ill)


class Wave(msgspec.Struct, frozen=True):
    """How many nodes of a wave are how far; `last`: when the last one of them changed."""

    wave: int  # from 0
    nodes: int
    ordered: int
    ill: int
    well: int  # done, and not ill
    last: int | None


class Candidate(msgspec.Struct, frozen=True):
    node: str
    place: Place
    last_seen: int


class Target(msgspec.Struct, frozen=True):
    """A node of a new roll-out."""

    node: str
    wave: int
    command: str


class Version(msgspec.Struct):
    version: str = ""


class RolloutStore:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def candidates(self, organisation: str, site: str) -> list[Candidate]:
        """All nodes there, by id; empty: everywhere."""
        rows = await self._sql.fetch(CANDIDATES, organisation, site)
        return [Candidate(node, Place(org, at), seen) for node, org, at, seen in rows]

    async def create(self, rollout: Rollout, targets: Sequence[Target]) -> None:
        async with self._sql.transaction() as db:
            place, spec = (rollout.organisation, rollout.site), msgspec.json.encode(rollout.spec)
            await db.execute(CREATE, rollout.id, *place, rollout.by, rollout.created, rollout.undoes, spec)
            for one in targets:
                await db.execute(ADD, rollout.id, one.node, one.wave, one.command, rollout.undoes)

    async def text(self, rollout_id: str, node: str) -> str | None:
        """What a node gets by it, where that is known; it is not while it is only laid over what the node has."""
        rows = await self._sql.fetch(TEXT, rollout_id, node)
        return bytes(rows[0][0]).decode() if rows and rows[0][0] is not None else None

    async def one(self, rollout_id: str) -> Rollout | None:
        rows = await self._sql.fetch(ONE, rollout_id)
        return _rollout(rows[0]) if rows else None

    async def running(self) -> list[str]:
        """The ids, the oldest first."""
        return [row[0] for row in await self._sql.fetch(RUNNING)]

    async def older(self, created: int, rollout_id: str, most: int) -> list[Rollout]:
        """The newest first, those before this one."""
        return [_rollout(row) for row in await self._sql.fetch(LIST, created, rollout_id, most)]

    async def nodes(self, rollout_id: str, after: str = "", most: int = ALL) -> list[RolloutNode]:
        """By id."""
        rows = await self._sql.fetch(MEMBERS, rollout_id, after, most)
        return await asyncio.to_thread(lambda: [_node(row) for row in rows])

    async def order(
        self, rollout_id: str, node: str, command: Command, now: int, *, before: Health, former: str | None
    ) -> bool:
        """Mark the node and queue its command, where the roll-out runs and the node was not ordered yet; whether."""
        async with self._sql.transaction() as db:
            if not await db.execute(HOLD, rollout_id, now):
                return False
            text = command.body.encode()
            facts = msgspec.json.encode(before), text, former.encode() if former is not None else None
            if not await db.execute(MARK, rollout_id, node, now, *facts):
                return False
            await db.execute(ORDER, command.id, node, now, command.not_after, msgspec.json.encode(command))
            if command.kind == "CONFIGURE":
                sha256 = hashlib.sha256(text).hexdigest()
                await db.execute(WANT, command.id, node, now, command.who, command.reason, sha256, text)
        return True

    async def ill(self, rollout_id: str, node: str, why: str) -> None:
        async with self._sql.transaction() as db:
            await db.execute(ILL, rollout_id, node, why)

    async def move(self, rollout_id: str, old: State, new: State, why: str, now: int) -> bool:
        """From one state to another, where it is in that one; whether. What is stopped leaves nothing queued."""
        async with self._sql.transaction() as db:
            moved = await db.execute(MOVE, rollout_id, old, new, why, now) == 1
            if moved and new == "stopped":
                await db.execute(WITHDRAW, rollout_id, now, "taken back: the roll-out was stopped")
        return moved

    async def waves(self, rollout_id: str) -> list[Wave]:
        return [Wave(*row) for row in await self._sql.fetch(WAVES, rollout_id)]

    async def standing(self) -> dict[str, tuple[str, ...]]:
        """The alerts that stand, by node: their kinds, with the device where they are of one."""
        found: dict[str, tuple[str, ...]] = {}
        for node, kind, device in await self._sql.fetch(STANDING):
            found[node] = (*found.get(node, ()), f"{kind} {device}".rstrip())
        return found

    async def versions(self) -> list[tuple[Place, str]]:
        """Of each node where it stands, and its release; empty where it never said."""
        return [(Place(org, site), _version(body)) for org, site, body in await self._sql.fetch(VERSIONS)]


def _rollout(row: Row) -> Rollout:
    rollout_id, organisation, site, by, created, changed, state, why, undoes, spec, nodes, ordered, ill = row
    decoded = msgspec.json.decode(spec, type=Spec)
    return Rollout(
        rollout_id, organisation, site, by, created, changed, state, why, undoes, decoded, nodes, ordered, ill
    )


def _node(row: Row) -> RolloutNode:
    node, wave, command, ordered, ill, before, had_text, state, changed, words, seen, beat, *place = row
    then = msgspec.json.decode(before, type=Health) if before is not None else None
    return RolloutNode(
        node, wave, command, ordered, ill, then, bool(had_text), state, changed, words, seen, beat, Place(*place)
    )  # fmt: skip


def _version(body: bytes | None) -> str:
    try:
        return msgspec.json.decode(body, type=Version).version if body is not None else ""
    except msgspec.MsgspecError:
        return ""
