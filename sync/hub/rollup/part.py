"""The care for what is stored, put together: roll-ups, retention, and what the store itself needs."""

from collections.abc import Sequence

from gateway.core.clock import Clock
from sync.hub.config import RetentionConfig
from sync.hub.rollup import retention, rolling
from sync.hub.rollup.retention import Retention
from sync.hub.rollup.rolling import Rolling
from sync.hub.store.chores import Chore
from sync.hub.store.contract import Store
from sync.hub.web.part import Part


class Care(Part):
    def __init__(self, store: Store, config: RetentionConfig, clock: Clock) -> None:
        self._store = store
        self._rolling = Rolling(store.sql, clock)
        self._retention = Retention(store.sql, clock, config)

    def chores(self) -> Sequence[Chore]:
        return (
            *self._store.chores(),
            Chore("roll-ups", rolling.EVERY_S, self._rolling.turn),
            Chore("retention", retention.EVERY_S, self._retention.turn),
        )
