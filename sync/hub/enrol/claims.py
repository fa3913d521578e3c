"""Claim codes in the hub's database: with one of them one gateway may come in, once, within a day.

The hub keeps SHA-256 of a code, and shows the code when it is made and never again. The first gateway that uses one
holds it from then on: should the answer be lost, or the broker be away, it may ask again, and nobody else.
"""

import hashlib
import secrets

import msgspec

from sync.enrol import ALPHABET, CODE_LETTERS, GROUP, plain_code
from sync.hub.enrol.registry import ENTER, KNOWN, only
from sync.hub.store.sql import Row, Sql

VALID_MS = 86_400_000
KEPT_MS = 30 * VALID_MS
ID_LETTERS = 16

MAKE = """INSERT INTO claim (sha256, site, node, created, expires, made_by, replaces)
    VALUES ($1, $2, $3, $4, $5, $6, $7)"""
FORGET = "DELETE FROM claim WHERE expires < $1"
TAKEN = "SELECT 1 FROM node WHERE id = $1"
OPEN_FOR = "SELECT 1 FROM claim WHERE node = $1 AND used IS NULL AND expires > $2 LIMIT 1"
OPEN = """SELECT sha256, site, node, replaces, created, expires, made_by FROM claim
    WHERE site = $1 AND used IS NULL AND expires > $2 AND substr(sha256, 1, 16) > $3 ORDER BY sha256 LIMIT $4"""
END = "DELETE FROM claim WHERE site = $1 AND substr(sha256, 1, 16) = $2 AND used IS NULL"
# A node that went to another site since is not for who made the code any more.
HOLD = """UPDATE claim SET holder = $2 WHERE sha256 = $1 AND expires > $3 AND (holder IS NULL OR holder = $2)
    AND (replaces = 0 OR used IS NOT NULL OR EXISTS (SELECT 1 FROM node WHERE node.id = claim.node
        AND (node.site IS NULL OR node.site = claim.site)))
    RETURNING site, node, replaces, used"""
IS_MADE = "SELECT 1 FROM claim WHERE sha256 = $1"
LET_GO = "UPDATE claim SET holder = NULL WHERE sha256 = $1 AND holder = $2 AND used IS NULL"
USE = "UPDATE claim SET used = $3 WHERE sha256 = $1 AND holder = $2 AND used IS NULL"
COMES = "UPDATE node SET site = $2, hardware = $3, revoked = NULL WHERE id = $1"


class Claim(msgspec.Struct, frozen=True):
    """A code that is open, without the code; times are milliseconds since 1970 UTC."""

    id: str
    site: str
    node: str
    replaces: bool
    created: int
    expires: int
    made_by: str


class Held(msgspec.Struct, frozen=True):
    """What a code stands for, in the hands of one gateway; `used`: all was done."""

    site: str
    node: str
    replaces: bool
    used: bool


class Claims:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def make(self, site: str, node: str, made_by: str, now: int, *, replaces: bool) -> tuple[str, Claim] | None:
        """The code, and what is kept of it; None where the id is taken, or (`replaces`) a code for it is open."""
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LETTERS))
        claim = Claim(_sha256(code)[:ID_LETTERS], site, node, replaces, now, now + VALID_MS, made_by)
        async with self._sql.transaction() as db:
            await db.execute(FORGET, now - KEPT_MS)
            if await db.fetch(OPEN_FOR, node, now) or (not replaces and await db.fetch(TAKEN, node)):
                return None
            await db.execute(MAKE, _sha256(code), site, node, now, claim.expires, made_by, int(replaces))
        return "-".join(code[at : at + GROUP] for at in range(0, CODE_LETTERS, GROUP)), claim

    async def open(self, site: str, now: int, after: str, most: int) -> list[Claim]:
        """Those of a site that may still be used, by id from behind `after` on."""
        rows = await self._sql.fetch(OPEN, site, now, after, most)
        return [claim_of(row) for row in rows]

    async def end(self, site: str, claim_id: str) -> bool:
        """Whether it was open."""
        async with self._sql.transaction() as db:
            return await db.execute(END, site, claim_id) > 0

    async def hold(self, code: str, holder: str, now: int) -> Held | None:
        """Take the code for the gateway with this secret's SHA-256; None: it is wrong, expired, or another one's."""
        if not await self._sql.fetch(IS_MADE, _sha256(plain_code(code))):  # who guesses keeps nobody from writing
            return None
        async with self._sql.transaction() as db:
            rows = await db.fetch(HOLD, _sha256(plain_code(code)), holder, now)
        return Held(rows[0][0], rows[0][1], bool(rows[0][2]), rows[0][3] is not None) if rows else None

    async def let_go(self, code: str, holder: str) -> None:
        """Nothing came of it: the code is as it was."""
        async with self._sql.transaction() as db:
            await db.execute(LET_GO, _sha256(plain_code(code)), holder)

    async def use(self, code: str, held: Held, holder: str, hardware: bytes, now: int) -> bool:
        """Enter the node, with this secret and no other. False: another gateway has that id by now."""
        async with self._sql.transaction() as db:
            if not held.replaces and await db.fetch(KNOWN, held.node):
                return False
            if await db.execute(USE, _sha256(plain_code(code)), holder, now) == 1:
                await db.execute(ENTER, held.node)
                await db.execute(COMES, held.node, held.site, hardware)
                await only(db, held.node, holder, now)
        return True


def claim_of(row: Row) -> Claim:
    """Of what OPEN asks for."""
    sha256, site, node, replaces, created, expires, made_by = row
    return Claim(sha256[:ID_LETTERS], site, node, bool(replaces), created, expires, made_by)


def _sha256(code: str) -> str:
    return hashlib.sha256(code.encode(errors="surrogatepass")).hexdigest()
