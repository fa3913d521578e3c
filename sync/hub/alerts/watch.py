"""The hub watches the fleet: a chore that finds out what is wrong with whom, in pages, never node by node."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.core.clock import Clock
from gateway.core.model import Event
from gateway.core.rollup import DAY_MS
from sync.hub.alerts.causes import Findings, NodeNow, Trends, findings
from sync.hub.alerts.settings import AlertsConfig
from sync.hub.alerts.standing import Begin, Change, Known, Pending, changes
from sync.hub.alerts.store import Alerts, FleetTotals
from sync.hub.store.chores import Chore
from sync.hub.store.contract import ONLINE_MS

EVERY_S = 30.0
FORGET_EVERY_S = 3600.0
GAP_MS = 3 * 1000 * EVERY_S  # without a look, and nobody knows whether nodes were silent or the hub was deaf
PAGE = 500  # nodes: other work gets its turn between two pages
FAILED = {"update_failed", "update_rolled_back", "configuration_rolled_back"}
DONE = {"update_applied", "configuration_applied"}
WORDS_MAX = 1000  # characters


class Watch:
    """Evaluates all nodes; made once a process."""

    def __init__(self, alerts: Alerts, config: AlertsConfig, clock: Clock) -> None:
        self._alerts = alerts
        self._clock = clock
        self._config = config
        self._trends = Trends(config)
        self._pending = Pending()
        self._watching = 0  # since when, without a gap
        self._looked = 0

    def chores(self) -> Sequence[Chore]:
        return (Chore("alerts", EVERY_S, self.look), Chore("old alerts", FORGET_EVERY_S, self._forget))

    async def look(self, now: int) -> None:
        """Once over all nodes. Raises StorageError."""
        if not 0 <= now - self._looked < GAP_MS:
            self._watching = now
        self._looked = now
        totals, after = FleetTotals(now), ""
        while page := await self._alerts.nodes(after, PAGE):
            await self._look_at(page, after, now)
            totals = _added(totals, page)
            after = page[-1].id
        await self._alerts.keep_totals(totals)

    async def _look_at(self, page: Sequence[NodeNow], after: str, now: int) -> None:
        known = await self._alerts.known(after, page[-1].id, now - round(1000 * self._config.again_s))
        of_node: dict[str, list[Known]] = {}
        for alert in known:
            of_node.setdefault(alert.node, []).append(alert)
        todo: list[Begin | Change] = []
        for node in page:
            found = self._findings(node, now)
            if found.causes or node.id in of_node:
                todo += changes(node.id, found, of_node.get(node.id, ()), self._pending, now, self._config)
            else:
                self._pending.forget(node.id)
        if todo:
            await self._alerts.change(todo, after, page[-1].id, now)

    def _findings(self, node: NodeNow, now: int) -> Findings:
        if node.beat is not None:
            node = replace(node, trend=self._trends.of(node.id, node.beat_at, node.beat.backlog))
        return findings(node, now, self._watching, self._config)

    async def happened(self, node: str, events: Sequence[Event]) -> None:
        """Take from a node's events whether an update failed. Raises StorageError; again changes nothing.

        What happened long ago, as where a node sends its history once more, is no alert.
        """
        now = self._clock.wall_ms()
        for event in events:
            if event.kind in FAILED and event.ts > now - DAY_MS:
                words = event.detail or event.kind.replace("_", " ")
                await self._alerts.update_failed(node, event.ts, words[:WORDS_MAX], now)
            elif event.kind in DONE:
                await self._alerts.update_done(node, event.ts, now)

    async def _forget(self, now: int) -> None:
        await self._alerts.forget(now - self._config.keep_days * DAY_MS)


def _added(totals: FleetTotals, page: Sequence[NodeNow]) -> FleetTotals:
    there = [node for node in page if not node.gone]
    online = [node for node in there if totals.at - node.last_seen < ONLINE_MS]
    backlog = sum(node.beat.backlog for node in there if node.beat is not None)
    return FleetTotals(totals.at, totals.nodes + len(there), totals.online + len(online), totals.backlog + backlog)
