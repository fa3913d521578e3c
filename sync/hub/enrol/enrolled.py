"""Which nodes there are to enrol, revoke and replace, and the sites they may come to, by what a caller was granted."""

from collections.abc import Sequence

import msgspec

from sync.hub.enrol.claims import Claim, claim_of
from sync.hub.store.sql import Row, Sql
from sync.hub.web.rights import Caller, Role

# Of one grant; those of a caller are few, and are joined.
NODES = """SELECT node.id, coalesce(node.site, ''), coalesce(site.organisation, ''), node.revoked, node.hardware,
    (SELECT min(created) FROM node_secret WHERE node = node.id AND until IS NULL),
    (SELECT max(until) FROM node_secret WHERE node = node.id AND until > $5), node.last_seen
    FROM node LEFT JOIN site ON site.id = node.site
    WHERE node.id > $1 AND ($2 = '' OR site.organisation = $2) AND ($3 = '' OR node.site = $3)
    ORDER BY node.id LIMIT $4"""
SITES = """SELECT id, name, organisation FROM site WHERE id > $1 AND ($2 = '' OR organisation = $2)
    AND ($3 = '' OR id = $3) ORDER BY id LIMIT $4"""
CLAIMS = """SELECT claim.sha256, claim.site, claim.node, claim.replaces, claim.created, claim.expires, claim.made_by
    FROM claim JOIN site ON site.id = claim.site
    WHERE claim.sha256 > $1 AND ($2 = '' OR site.organisation = $2) AND ($3 = '' OR site.id = $3)
    AND claim.used IS NULL AND claim.expires > $5 ORDER BY claim.sha256 LIMIT $4"""


class Hardware(msgspec.Struct, frozen=True):
    """What a gateway said of itself when it was enrolled; `at`: when, milliseconds since 1970 UTC."""

    serial: str = ""
    mac: str = ""
    ssh_public_key: str = ""
    version: str = ""
    address: str = ""
    at: int = 0


class EnrolledNode(msgspec.Struct, frozen=True):
    """Times are milliseconds since 1970 UTC, None for what is not. `secret_made`: its secret's; None: it has none.

    `changing_until`: its secret is being changed, and the old one is good until then.
    """

    node: str
    site: str
    organisation: str
    revoked: int | None
    hardware: Hardware | None
    secret_made: int | None
    changing_until: int | None
    last_seen: int | None


class SiteChoice(msgspec.Struct, frozen=True):
    id: str
    name: str
    organisation: str


class EnrolledNodes:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def nodes(self, caller: Caller, after: str, most: int, now: int) -> list[EnrolledNode]:
        """By id, from behind `after` on."""
        return [_node(row) for row in await self._granted(NODES, caller, Role.VIEWER, after, most, now)]

    async def sites(self, caller: Caller, after: str, most: int) -> list[SiteChoice]:
        """Those to which the caller may bring gateways, by id."""
        return [SiteChoice(*row) for row in await self._granted(SITES, caller, Role.OPERATOR, after, most)]

    async def claims(self, caller: Caller, most: int, now: int) -> list[Claim]:
        """Codes that are open, of all sites to which the caller may bring gateways; what expires next comes first."""
        rows = await self._granted(CLAIMS, caller, Role.OPERATOR, "", most, now)
        return sorted(map(claim_of, rows), key=lambda claim: claim.expires)

    async def _granted(
        self, query: str, caller: Caller, role: Role, after: str, most: int, *more: object
    ) -> Sequence[Row]:
        found: dict[str, Row] = {}
        for grant in caller.grants:
            if grant.role.includes(role):
                rows = await self._sql.fetch(query, after, grant.organisation, grant.site, most, *more)
                found |= {row[0]: row for row in rows}
        return [found[key] for key in sorted(found)[:most]]


def _node(row: Row) -> EnrolledNode:
    node, site, organisation, revoked, hardware, made, until, last_seen = row
    said = msgspec.json.decode(hardware, type=Hardware) if hardware is not None else None
    return EnrolledNode(node, site, organisation, revoked, said, made, until, last_seen or None)
