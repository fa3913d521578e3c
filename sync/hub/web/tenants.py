"""Where a node stands: its site and its organisation."""

from sync.hub.store.sql import Sql
from sync.hub.web.rights import NOWHERE, Place

PLACE = """SELECT coalesce(site.organisation, ''), coalesce(site.id, '') FROM node
    LEFT JOIN site ON site.id = node.site WHERE node.id = $1"""
ORGANISATION = "SELECT id FROM organisation WHERE id = $1"
PLACE_OF_SITE = "SELECT organisation FROM site WHERE id = $1"


class Tenants:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def place(self, node: str) -> Place | None:
        """None for a node that was never heard of; NOWHERE for one that has no site."""
        rows = await self._sql.fetch(PLACE, node)
        if not rows:
            return None
        return Place(*rows[0]) if rows[0][1] else NOWHERE

    async def place_of_organisation(self, organisation: str) -> Place | None:
        """None: there is no such organisation."""
        return Place(organisation) if await self._sql.fetch(ORGANISATION, organisation) else None

    async def place_of_site(self, site: str) -> Place | None:
        """None: there is no such site."""
        rows = await self._sql.fetch(PLACE_OF_SITE, site)
        return Place(rows[0][0], site) if rows else None
