"""Tariffs in the hub's database, which site has which from when on, and whose market prices hold where."""

from datetime import date
from secrets import token_hex

import msgspec

from gateway.core.tariff import Tariff
from gateway.core.tariffcheck import parse_tariff
from sync.hub.store.sql import Row, Sql

# Of one organisation, or of all where it is empty.
LISTED = """SELECT id, organisation, name, text, created, changed FROM tariff
    WHERE ($1 = '' OR organisation = $1) AND id > $2 ORDER BY id LIMIT $3"""
ONE = "SELECT id, organisation, name, text, created, changed FROM tariff WHERE id = $1"
ADD = "INSERT INTO tariff (id, organisation, name, text, created, changed) VALUES ($1, $2, $3, $4, $5, $5)"
CHANGE = "UPDATE tariff SET name = $2, text = $3, changed = $4 WHERE id = $1"
REMOVE = """DELETE FROM tariff WHERE id = $1
    AND NOT EXISTS (SELECT 1 FROM site_tariff WHERE site_tariff.tariff = tariff.id)"""
SITES_OF = "SELECT site FROM site_tariff WHERE tariff = $1 ORDER BY site LIMIT 1"
KNOWN_ORGANISATION = "SELECT 1 FROM organisation WHERE id = $1"
OF_SITE = """SELECT site_tariff.since, tariff.id, tariff.name, tariff.text FROM site_tariff
    JOIN tariff ON tariff.id = site_tariff.tariff WHERE site_tariff.site = $1 ORDER BY site_tariff.since"""
ASSIGN = """INSERT INTO site_tariff (site, since, tariff) VALUES ($1, $2, $3)
    ON CONFLICT (site, since) DO UPDATE SET tariff = excluded.tariff"""
TAKE_OFF = "DELETE FROM site_tariff WHERE site = $1 AND since = $2"
AREA = "SELECT area FROM price_area WHERE site = $1"
AREA_OF_NODE = "SELECT price_area.area FROM price_area JOIN node ON node.site = price_area.site WHERE node.id = $1"
SET_AREA = """INSERT INTO price_area (site, area) VALUES ($1, $2)
    ON CONFLICT (site) DO UPDATE SET area = excluded.area"""


class KeptTariff(msgspec.Struct, frozen=True):
    """`text`: YAML or JSON as it was written. Times are milliseconds since 1970 UTC."""

    id: str
    organisation: str
    name: str
    text: str
    created: int
    changed: int


class Assigned(msgspec.Struct, frozen=True):
    """What a site has from the local day `since` on, until the next."""

    since: date
    id: str
    name: str
    text: str

    @property
    def tariff(self) -> Tariff:
        """Raises ConfigError, where an older release allowed what this one does not."""
        return parse_tariff(self.text, self.name)


class Tariffs:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def listed(self, organisation: str, after: str, most: int) -> list[KeptTariff]:
        """By id; those of all organisations where that is empty."""
        return [_kept(row) for row in await self._sql.fetch(LISTED, organisation, after, most)]

    async def one(self, tariff: str) -> KeptTariff | None:
        rows = await self._sql.fetch(ONE, tariff)
        return _kept(rows[0]) if rows else None

    async def add(self, organisation: str, name: str, text: str, now: int) -> KeptTariff | None:
        """None: there is no such organisation."""
        kept = KeptTariff(token_hex(8), organisation, name, text, now, now)
        async with self._sql.transaction() as db:
            if not await db.fetch(KNOWN_ORGANISATION, organisation):
                return None
            await db.execute(ADD, kept.id, organisation, name, text, now)
        return kept

    async def change(self, tariff: str, name: str, text: str, now: int) -> None:
        async with self._sql.transaction() as db:
            await db.execute(CHANGE, tariff, name, text, now)

    async def remove(self, tariff: str) -> bool:
        """False where a site has it, or it is not there."""
        async with self._sql.transaction() as db:
            return await db.execute(REMOVE, tariff) == 1

    async def site_with(self, tariff: str) -> str | None:
        """One of the sites that have it."""
        rows = await self._sql.fetch(SITES_OF, tariff)
        return rows[0][0] if rows else None

    async def of_site(self, site: str) -> list[Assigned]:
        """By date."""
        rows = await self._sql.fetch(OF_SITE, site)
        return [Assigned(date.fromisoformat(since), tariff, name, text) for since, tariff, name, text in rows]

    async def assign(self, site: str, since: date, tariff: str) -> None:
        async with self._sql.transaction() as db:
            await db.execute(ASSIGN, site, since.isoformat(), tariff)

    async def take_off(self, site: str, since: date) -> bool:
        """Whether there was one of that day."""
        async with self._sql.transaction() as db:
            return await db.execute(TAKE_OFF, site, since.isoformat()) == 1

    async def area(self, site: str) -> str:
        """Of market prices; empty: none is set."""
        rows = await self._sql.fetch(AREA, site)
        return rows[0][0] if rows else ""

    async def area_of_node(self, node: str) -> str:
        """Of its site."""
        rows = await self._sql.fetch(AREA_OF_NODE, node)
        return rows[0][0] if rows else ""

    async def set_area(self, site: str, area: str) -> None:
        async with self._sql.transaction() as db:
            await db.execute(SET_AREA, site, area)


def _kept(row: Row) -> KeptTariff:
    return KeptTariff(*row)
