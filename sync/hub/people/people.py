"""Who may sign in, and what was granted to them, in the hub's database."""

import unicodedata
from collections.abc import Sequence

import msgspec

from sync.hub.people.passwords import Passwords
from sync.hub.store.sql import Row, Sql, Work
from sync.hub.web.rights import Caller, Grant, Role

NAME_MAX = 64  # characters
FIRST = "admin"

ADD = "INSERT INTO person (name, argon2, created) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
ANYBODY = "SELECT 1 FROM person LIMIT 1"
GRANT = "INSERT INTO person_grant (person, organisation, site, role) VALUES ($1, $2, $3, $4)"
GRANTS = "SELECT role, organisation, site FROM person_grant WHERE person = $1 ORDER BY organisation, site"
PERSON = "SELECT name, created, disabled FROM person WHERE name = $1"
KEPT = "SELECT argon2 FROM person WHERE name = $1 AND disabled = 0"
KEEP = "UPDATE person SET argon2 = $2 WHERE name = $1"
KEEP_INSTEAD = "UPDATE person SET argon2 = $2 WHERE name = $1 AND argon2 = $3"
DISABLE = "UPDATE person SET disabled = $2 WHERE name = $1"
TAKE_GRANTS = "DELETE FROM person_grant WHERE person = $1"
DELETE = "DELETE FROM person WHERE name = $1"
END_SESSIONS = "DELETE FROM session WHERE person = $1 AND sha256 <> $2"
END_TOKENS = "DELETE FROM refresh_token WHERE person = $1"
# Of two who take each other's rights the second waits for the first, and then sees what is left.
ONE_AFTER_THE_OTHER = """INSERT INTO setting (name, value) VALUES ('people', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
ADMINS = """SELECT 1 FROM person JOIN person_grant ON person_grant.person = person.name
    WHERE disabled = 0 AND role = 'admin' AND organisation = '' LIMIT 1"""
# Those all of whose grants lie within what $1 administers; who has none is for who administers everything.
LISTED = """SELECT name, created, disabled FROM person WHERE name > $2 AND (
    EXISTS (SELECT 1 FROM person_grant WHERE person = $1 AND role = 'admin' AND organisation = '')
    OR (EXISTS (SELECT 1 FROM person_grant WHERE person = person.name)
        AND NOT EXISTS (SELECT 1 FROM person_grant AS theirs WHERE theirs.person = person.name
            AND NOT EXISTS (SELECT 1 FROM person_grant AS mine WHERE mine.person = $1 AND mine.role = 'admin'
                AND mine.organisation = theirs.organisation AND (mine.site = '' OR mine.site = theirs.site)))))
    ORDER BY name LIMIT $3"""


class Person(msgspec.Struct, frozen=True):
    """`created`: milliseconds since 1970 UTC."""

    name: str
    grants: tuple[Grant, ...]
    created: int
    disabled: bool = False


class LastAdminError(Exception):
    """Nobody would be left who may do everything."""


def clean_name(name: str) -> str:
    """A name as it is kept. Raises ValueError where it cannot be one; text of any language goes, also markup."""
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= NAME_MAX or name != name.strip() or not name.isprintable() or name in (".", ".."):
        raise ValueError(f"expected 1 to {NAME_MAX} printable characters, without blanks around them")
    return name


class People:
    """All methods raise StorageError; times are wall times in milliseconds."""

    def __init__(self, sql: Sql, passwords: Passwords) -> None:
        self._sql = sql
        self._passwords = passwords

    async def add(self, name: str, password: str, grants: Sequence[Grant], now: int) -> bool:
        """Whether the name was free."""
        kept = await self._passwords.hashed(password)
        async with self._sql.transaction() as db:
            return await _add(db, name, kept, grants, now)

    async def add_first(self, password: str, now: int) -> bool:
        """Make the administrator where nobody is known yet; whether it was so."""
        if await self._sql.fetch(ANYBODY):
            return False
        kept = await self._passwords.hashed(password)
        async with self._sql.transaction() as db:
            return not await db.fetch(ANYBODY) and await _add(db, FIRST, kept, [Grant(Role.ADMIN)], now)

    async def person(self, name: str) -> Person | None:
        rows = await self._sql.fetch(PERSON, name)
        return await self._person(rows[0]) if rows else None

    async def listed(self, admin: str, after: str, most: int) -> list[Person]:
        """By name, from the one behind `after` on: those whose rights lie within what `admin` administers."""
        return [await self._person(row) for row in await self._sql.fetch(LISTED, admin, after, most)]

    async def _person(self, row: Row) -> Person:
        name, created, disabled = row
        return Person(name, tuple(grant_of(row) for row in await self._sql.fetch(GRANTS, name)), created, disabled == 1)

    async def matches(self, name: str, password: str) -> bool:
        """Whether this person may sign in with this password; takes as long for a name that nobody has."""
        rows = await self._sql.fetch(KEPT, name)
        kept: str | None = rows[0][0] if rows else None
        if not await self._passwords.matches(password, kept):
            return False
        assert kept is not None
        if self._passwords.is_old(kept):
            anew = await self._passwords.hashed(password)
            async with self._sql.transaction() as db:
                await db.execute(KEEP_INSTEAD, name, anew, kept)
        return True

    async def set_password(self, name: str, password: str, *, but_session: str = "") -> bool:
        """Whether there is such a person; who was signed in with the old one is so no longer, but in `but_session`
        (a SHA-256)."""
        kept = await self._passwords.hashed(password)
        async with self._sql.transaction() as db:
            await db.execute(END_SESSIONS, name, but_session)
            await db.execute(END_TOKENS, name)
            return await db.execute(KEEP, name, kept) == 1

    async def change(self, name: str, grants: Sequence[Grant], *, disabled: bool) -> bool:
        """Counts from the next request on; whether there is such a person. Raises LastAdminError."""
        async with self._sql.transaction() as db:
            await db.execute(ONE_AFTER_THE_OTHER, b"")
            before = await db.fetch(ADMINS)
            if not await db.execute(DISABLE, name, int(disabled)):
                return False
            if disabled:  # who is let in again signs in again: what was stolen meanwhile stays of no use
                await db.execute(END_SESSIONS, name, "")
                await db.execute(END_TOKENS, name)
            await _grant(db, name, grants)
            if before and not await db.fetch(ADMINS):
                raise LastAdminError("nobody would be left who may do everything")
            return True

    async def delete(self, name: str) -> bool:
        """Whether there was such a person. Raises LastAdminError."""
        async with self._sql.transaction() as db:
            await db.execute(ONE_AFTER_THE_OTHER, b"")
            before = await db.fetch(ADMINS)
            await db.execute(END_SESSIONS, name, "")
            await db.execute(END_TOKENS, name)
            await db.execute(TAKE_GRANTS, name)
            done = await db.execute(DELETE, name) == 1
            if before and not await db.fetch(ADMINS):
                raise LastAdminError("nobody would be left who may do everything")
            return done


def grant_of(row: Row) -> Grant:
    role, organisation, site = row
    return Grant(Role(role), organisation, site)


def manages(caller: Caller, person: Person) -> bool:
    """As `LISTED` says it."""
    if caller.may(Role.ADMIN):
        return True
    return bool(person.grants) and all(caller.may(Role.ADMIN, grant.scope) for grant in person.grants)


async def _add(db: Work, name: str, kept: str, grants: Sequence[Grant], now: int) -> bool:
    if not await db.execute(ADD, name, kept, now):
        return False
    await _grant(db, name, grants)
    return True


async def _grant(db: Work, name: str, grants: Sequence[Grant]) -> None:
    await db.execute(TAKE_GRANTS, name)
    for grant in grants:
        await db.execute(GRANT, name, grant.organisation, grant.site, str(grant.role))
