"""A node changed its secret though nobody had asked for it: whoever stole it may have done so, and people are told."""

import logging
from typing import Protocol

from gateway.core.clock import Clock
from gateway.core.model import Event
from gateway.core.rollup import DAY_MS
from sync.hub.store.contract import Audit, Store

SECRET = "SECRET"  # noqa: S105 - the kind of a command
LOOK_BACK = 50  # commands
LATE_MS = DAY_MS  # a node that took an order in time may have had no line since
KIND, WORDS = "secret_changed", "the node changed its secret, and nobody asked for it: if you did not, revoke the node"
EPOCH = "hub"  # of events that are the hub's own

log = logging.getLogger(__name__)


class Watches(Protocol):
    """What is told that a node changes its secret."""

    async def changes(self, node: str) -> None:
        """Raises StorageError; again changes nothing."""
        ...


class Unasked:
    """Leaves an event of the node where no order for another secret is open."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def changes(self, node: str) -> None:
        """See `Watches.changes`."""
        now = self._clock.wall_ms()
        for one in await self._store.control.commands(node, LOOK_BACK):
            is_open = one.state in ("queued", "taken", "expired") and one.command.not_after > now - LATE_MS
            if one.command.kind == SECRET and is_open:
                return
        log.warning("a node changed its secret, and nobody asked for it", extra={"node": node})
        event = Event(now, KIND, detail=WORDS, seq=now)
        await self._store.take_events([event], EPOCH, Audit(now, node, "events", f"{EPOCH}:{now}-{now}", 0))
