"""Organisations and sites for tests, and nodes that stand there."""

from sync.hub.store.sql import Sql

ORGANISATION = "INSERT INTO organisation (id, name, created) VALUES ($1, $1, 0) ON CONFLICT DO NOTHING"
SITE = """INSERT INTO site (id, organisation, name, timezone, created) VALUES ($1, $2, $3, $4, 0)
    ON CONFLICT DO NOTHING"""
NODE = """INSERT INTO node (id, first_seen, last_seen, site) VALUES ($1, 0, 0, $2)
    ON CONFLICT (id) DO UPDATE SET site = excluded.site"""


async def put_site(sql: Sql, site: str, organisation: str, name: str = "", timezone: str = "UTC") -> None:
    """With its organisation; both have their ids for names where none is given."""
    async with sql.transaction() as db:
        await db.execute(ORGANISATION, organisation)
        await db.execute(SITE, site, organisation, name or site, timezone)


async def put_node(sql: Sql, node: str, site: str | None = None) -> None:
    """None: it stands nowhere."""
    async with sql.transaction() as db:
        await db.execute(NODE, node, site)
