"""The hub's side of the ledger: what it holds of the hours that a node names, counted from the rows themselves."""

import msgspec

from gateway.core.accounts import EVENTS, HOUR_MS, Account
from gateway.core.clock import Clock
from sync import wire
from sync.hub.intake.ledgers import Ledgers
from sync.hub.store.contract import Audit, Store

# Hours whose records have gone for so long that nobody knows which they were: what comes for them is not stored.
FORGOTTEN = """SELECT series.layout, hour FROM closed JOIN series ON series.id = closed.series
    WHERE node = $1 AND hour >= $2 AND hour <= $3 AND times IS NULL"""


class Compare:
    """The door's handler of ledgers."""

    def __init__(self, store: Store, clock: Clock, events_ms: int = 1 << 62) -> None:
        """`events_ms`: of events that are older nothing is said; they may have gone."""
        self._store = store
        self._clock = clock
        self._events_ms = events_ms
        self._ledgers = Ledgers(store.sql)

    async def handle(self, node: str, cursor: wire.Cursor, body: bytes) -> wire.Answer:
        """See `door.Handler`."""
        hours = msgspec.msgpack.decode(body, type=wire.Ledger).hours
        keys = [(bytes.fromhex(one.layout), one.hour) for one in hours]
        layouts = [key for key in keys if key[0] != EVENTS]
        ours = dict(zip(layouts, await self._store.accounts(node, layouts), strict=True))
        gone = self._clock.wall_ms() - self._events_ms + HOUR_MS
        of_events = [key for key in keys if key[0] == EVENTS and key[1] >= gone]
        events = await self._store.event_accounts(node, cursor.epoch, [hour for _, hour in of_events])
        ours |= dict(zip(of_events, events, strict=True))
        differing = [
            wire.Hour(one.layout, one.hour, ours[key].count, ours[key].digest)
            for one, key in zip(hours, keys, strict=True)
            if key in ours and ours[key] != Account(one.count, one.digest)
        ]
        differing = await self._curable(node, differing)
        told = {key: one.count for one, key in zip(hours, keys, strict=True)}
        theirs = [(key, told[key]) for key in layouts if ours[key].count != told[key]]
        await self._ledgers.note(node, layouts, theirs, self._clock.wall_ms())
        audit = Audit(self._clock.wall_ms(), node, "ledger", str(cursor), len(body), accepted=len(hours))
        await self._store.note(audit)
        return wire.Answer(str(cursor), accepted=len(hours), differing=differing)

    async def _curable(self, node: str, differing: list[wire.Hour]) -> list[wire.Hour]:
        """Those that the node could send again to some purpose; of the others it would, with every ledger."""
        if not differing:
            return differing
        hours = [one.hour for one in differing]
        rows = await self._store.sql.fetch(FORGOTTEN, node, min(hours), max(hours))
        forgotten = {(bytes(layout).hex(), hour) for layout, hour in rows}
        return [one for one in differing if (one.layout, one.hour) not in forgotten]
