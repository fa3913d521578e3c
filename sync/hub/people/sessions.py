"""Who is signed in: cookie sessions of browsers, and refresh tokens of scripts; of both only the SHA-256 is kept."""

from collections.abc import Iterable
from secrets import token_hex, token_urlsafe
from typing import NamedTuple

from gateway.core.credential import digest
from sync.hub.people.people import grant_of
from sync.hub.store.sql import Row, Sql
from sync.hub.web.rights import Caller, Grant

LASTS_MAX_MS = 30 * 24 * 3_600_000  # a session that slides ends all the same
OPEN = "INSERT INTO session (sha256, person, csrf, created, expires) VALUES ($1, $2, $3, $4, $5)"
# One row for each grant; what is granted and who is disabled is read anew with each request.
SESSION = """SELECT s.person, s.csrf, s.created, s.expires, g.role, g.organisation, g.site
    FROM session AS s JOIN person AS p ON p.name = s.person AND p.disabled = 0
    LEFT JOIN person_grant AS g ON g.person = s.person WHERE s.sha256 = $1 AND s.expires > $2"""
SLIDE = "UPDATE session SET expires = $2 WHERE sha256 = $1"
CLOSE = "DELETE FROM session WHERE sha256 = $1"
BEARER = """SELECT g.role, g.organisation, g.site FROM person AS p LEFT JOIN person_grant AS g ON g.person = p.name
    WHERE p.name = $1 AND p.disabled = 0 AND EXISTS (SELECT 1 FROM refresh_token AS r
        WHERE r.family = $2 AND r.person = $1 AND r.used IS NULL AND r.expires > $3)"""
GIVE = "INSERT INTO refresh_token (sha256, family, person, created, expires) VALUES ($1, $2, $3, $4, $5)"
USE = """UPDATE refresh_token SET used = $2 WHERE sha256 = $1 AND used IS NULL AND expires > $2
    AND EXISTS (SELECT 1 FROM person WHERE name = refresh_token.person AND disabled = 0) RETURNING family, person"""
END_FAMILY_OF = "DELETE FROM refresh_token WHERE family IN (SELECT family FROM refresh_token WHERE sha256 = $1)"
END_FAMILY = "DELETE FROM refresh_token WHERE family = $1"
TIDY = ("DELETE FROM session WHERE expires < $1", "DELETE FROM refresh_token WHERE expires < $1")


class Given(NamedTuple):
    """A refresh token, good once, and whose it is."""

    token: str
    family: str
    person: str


class Sessions:
    """`lasts_ms`: of a session, from its last request on where it `slides`; all methods raise StorageError."""

    def __init__(self, sql: Sql, *, lasts_ms: int, slides: bool, refresh_ms: int) -> None:
        self._sql = sql
        self._lasts_ms = lasts_ms
        self._slides = slides
        self._refresh_ms = refresh_ms

    async def open(self, person: str, now: int) -> str:
        """The token of a new session, for the cookie."""
        token = token_urlsafe(32)
        async with self._sql.transaction() as db:
            await db.execute(OPEN, digest(token), person, token_urlsafe(32), now, now + self._lasts_ms)
        return token

    async def of_cookie(self, token: str, now: int) -> Caller | None:
        rows = await self._sql.fetch(SESSION, digest(token), now)
        if not rows:
            return None
        person, csrf, created, expires = rows[0][:4]
        lasts = min(now + self._lasts_ms, created + LASTS_MAX_MS)
        if self._slides and lasts - expires > self._lasts_ms // 20:  # not a write with each request
            async with self._sql.transaction() as db:
                await db.execute(SLIDE, digest(token), lasts)
        return Caller(person, _grants(row[4:] for row in rows), csrf)

    async def close(self, token: str) -> None:
        async with self._sql.transaction() as db:
            await db.execute(CLOSE, digest(token))

    async def of_family(self, person: str, family: str, now: int) -> Caller | None:
        """Whose access token is of this family, as long as it lives."""
        rows = await self._sql.fetch(BEARER, person, family, now)
        return Caller(person, _grants(rows)) if rows else None

    async def begin(self, person: str, now: int) -> Given:
        """The first refresh token of a new family."""
        given = Given(token_urlsafe(32), token_hex(16), person)
        async with self._sql.transaction() as db:
            await db.execute(GIVE, digest(given.token), given.family, person, now, now + self._refresh_ms)
        return given

    async def refresh(self, token: str, now: int) -> Given | None:
        """The next one of the family; None for one that is unknown or too old. One that was used was stolen, from
        us or by us: its whole family ends."""
        async with self._sql.transaction() as db:
            used = await db.fetch(USE, digest(token), now)
            if not used:
                await db.execute(END_FAMILY_OF, digest(token))
                return None
            given = Given(token_urlsafe(32), *used[0])
            await db.execute(GIVE, digest(given.token), given.family, given.person, now, now + self._refresh_ms)
            return given

    async def end(self, family: str) -> None:
        async with self._sql.transaction() as db:
            await db.execute(END_FAMILY, family)

    async def tidy(self, now: int) -> None:
        async with self._sql.transaction() as db:
            for query in TIDY:
                await db.execute(query, now)


def _grants(rows: Iterable[Row]) -> tuple[Grant, ...]:
    return tuple(grant_of(row) for row in rows if row[0] is not None)
