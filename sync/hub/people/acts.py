"""What people did here: one row for each act, read by those whose grants cover where it was done."""

from typing import Any

import msgspec

from sync.hub.store.sql import Sql
from sync.hub.web.api import Call
from sync.hub.web.paging import LAST
from sync.hub.web.rights import Caller, Place

DETAIL_MAX = 2000  # characters
NOTE = """INSERT INTO act (at, person, address, action, object, organisation, site, detail)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
LISTED = """SELECT id, at, person, address, action, object, organisation, site, detail FROM act
    WHERE id < $2 AND EXISTS (SELECT 1 FROM person_grant AS g WHERE g.person = $1 AND g.role = 'admin'
        AND (g.organisation = '' OR (g.organisation = act.organisation AND (g.site = '' OR g.site = act.site))))
    ORDER BY id DESC LIMIT $3"""


class Act(msgspec.Struct, frozen=True):
    """`at`: milliseconds since 1970 UTC; `address`: where the person was; places are empty where it is everywhere."""

    id: int
    at: int
    person: str
    address: str
    action: str
    object: str
    organisation: str
    site: str
    detail: str


class Acts:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def note(
        self, call: Call[Any, Any], action: str, object: str, detail: str = "", *, place: Place | None = None
    ) -> None:
        """The caller did `action`, a few words, to `object`, an id or a name, at `place`; None: at the call's."""
        caller, place, words = call.caller, place or call.place, detail[:DETAIL_MAX]
        async with self._sql.transaction() as db:
            await db.execute(
                NOTE, call.now, caller.name, caller.address, action, object, place.organisation, place.site, words
            )

    async def listed(self, caller: Caller, *, before: int = LAST, limit: int = 100) -> list[Act]:
        """The newest first, with ids below `before`, where `caller` is an administrator by what the store says."""
        return [Act(*row) for row in await self._sql.fetch(LISTED, caller.name, before, limit)]
