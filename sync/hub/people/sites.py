"""Organisations and their sites, and which node stands where, in the hub's database."""

import re
import unicodedata
from typing import Annotated

import msgspec

from sync.hub.store.sql import Sql

EVERYWHERE = "everywhere"  # what people type as a scope; no organisation's id
SLUG = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?\Z"

ADD_ORGANISATION = "INSERT INTO organisation (id, name, created) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
RENAME_ORGANISATION = "UPDATE organisation SET name = $2 WHERE id = $1"
DELETE_ORGANISATION = """DELETE FROM organisation WHERE id = $1
    AND NOT EXISTS (SELECT 1 FROM site WHERE organisation = $1)"""
UNGRANT_ORGANISATION = "DELETE FROM person_grant WHERE organisation = $1"
ORGANISATION = "SELECT 1 FROM organisation WHERE id = $1"
ADD_SITE = """INSERT INTO site (id, organisation, name, timezone, created) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING"""
CHANGE_SITE = "UPDATE site SET name = $2, timezone = $3 WHERE id = $1"
SITE_USED = "SELECT 1 FROM node WHERE site = $1 LIMIT 1"
UNUSED_CLAIMS = "DELETE FROM claim WHERE site = $1"
DELETE_SITE = "DELETE FROM site WHERE id = $1"
UNGRANT_SITE = "DELETE FROM person_grant WHERE site = $1"
# Else they would be told of the next one of that id.
UNTELL_ORGANISATION = "DELETE FROM receiver WHERE organisation = $1"
UNTELL_SITE = "DELETE FROM receiver WHERE site = $1"
SITE = "SELECT id, organisation, name, timezone FROM site WHERE id = $1"
MOVE = """INSERT INTO node (id, first_seen, last_seen, site) VALUES ($1, 0, 0, $2)
    ON CONFLICT (id) DO UPDATE SET site = excluded.site"""
# What a viewer's grants cover; of an organisation, also where only one of its sites is covered.
ORGANISATIONS = """SELECT id, name, (SELECT count(*) FROM site WHERE site.organisation = organisation.id
        AND EXISTS (SELECT 1 FROM person_grant AS g WHERE g.person = $1 AND (g.organisation = ''
            OR (g.organisation = site.organisation AND (g.site = '' OR g.site = site.id)))))
    FROM organisation WHERE id > $2 AND EXISTS (SELECT 1 FROM person_grant AS g WHERE g.person = $1
        AND (g.organisation = '' OR g.organisation = organisation.id)) ORDER BY id LIMIT $3"""
SITES = """SELECT id, organisation, name, timezone, (SELECT count(*) FROM node WHERE node.site = site.id) FROM site
    WHERE id > $2 AND ($3 = '' OR site.organisation = $3) AND EXISTS (SELECT 1 FROM person_grant AS g
        WHERE g.person = $1 AND (g.organisation = '' OR (g.organisation = site.organisation
            AND (g.site = '' OR g.site = site.id)))) ORDER BY id LIMIT $4"""


class Organisation(msgspec.Struct, frozen=True):
    """`sites`: how many of it the caller may see."""

    id: str
    name: str
    sites: int = 0


class Site(msgspec.Struct, frozen=True):
    """`timezone`: by its IANA name; `nodes`: how many stand there."""

    id: str
    organisation: str
    name: str
    timezone: str = "UTC"
    nodes: int = 0


class Sites:
    """All methods raise StorageError; times are wall times in milliseconds."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def organisations(self, person: str, after: str, most: int) -> list[Organisation]:
        """By id: those of which the person may see something."""
        return [Organisation(*row) for row in await self._sql.fetch(ORGANISATIONS, person, after, most)]

    async def sites(self, person: str, after: str, most: int, organisation: str = "") -> list[Site]:
        """By id: those that the person may see; `organisation`: of one alone."""
        return [Site(*row) for row in await self._sql.fetch(SITES, person, after, organisation, most)]

    async def has_organisation(self, organisation: str) -> bool:
        return bool(await self._sql.fetch(ORGANISATION, organisation))

    async def site(self, site: str) -> Site | None:
        rows = await self._sql.fetch(SITE, site)
        return Site(*rows[0]) if rows else None

    async def add_organisation(self, organisation: Organisation, now: int) -> bool:
        """Whether its id was free."""
        async with self._sql.transaction() as db:
            return await db.execute(ADD_ORGANISATION, organisation.id, organisation.name, now) == 1

    async def rename_organisation(self, organisation: str, name: str) -> bool:
        async with self._sql.transaction() as db:
            return await db.execute(RENAME_ORGANISATION, organisation, name) == 1

    async def delete_organisation(self, organisation: str) -> bool:
        """Whether it is gone, and what was granted in it; one with sites stays."""
        async with self._sql.transaction() as db:
            if not await db.execute(DELETE_ORGANISATION, organisation):
                return False
            await db.execute(UNGRANT_ORGANISATION, organisation)
            await db.execute(UNTELL_ORGANISATION, organisation)
            return True

    async def add_site(self, site: Site, now: int) -> bool:
        """Whether its id was free; its organisation is there."""
        async with self._sql.transaction() as db:
            return await db.execute(ADD_SITE, site.id, site.organisation, site.name, site.timezone, now) == 1

    async def change_site(self, site: str, name: str, timezone: str) -> bool:
        async with self._sql.transaction() as db:
            return await db.execute(CHANGE_SITE, site, name, timezone) == 1

    async def delete_site(self, site: str) -> bool:
        """Whether it is gone, with its claim codes and what was granted there; one with nodes stays."""
        async with self._sql.transaction() as db:
            if await db.fetch(SITE_USED, site):
                return False
            await db.execute(UNUSED_CLAIMS, site)
            await db.execute(UNGRANT_SITE, site)
            await db.execute(UNTELL_SITE, site)
            return await db.execute(DELETE_SITE, site) == 1

    async def move(self, node: str, site: str | None) -> None:
        """None: it stands nowhere."""
        async with self._sql.transaction() as db:
            await db.execute(MOVE, node, site)


def slug_of(name: str) -> str:
    """An id made of a name: small ASCII letters, digits and hyphens; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].strip("-")


Slug = Annotated[str, msgspec.Meta(pattern=SLUG, description="small letters, digits, hyphens; at most 64")]
