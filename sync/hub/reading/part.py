"""Looking at the fleet, put together: what is read back, over the API and on pages."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.core.clock import Clock
from sync.hub.alerts.store import Alerts
from sync.hub.intake.door import Door
from sync.hub.reading.audit import Audits
from sync.hub.reading.completeness import CompletenessApi
from sync.hub.reading.completenesspage import CompletenessPages
from sync.hub.reading.fleetpage import FleetPages
from sync.hub.reading.ingestpage import IngestPages
from sync.hub.reading.nodefacts import NodeFacts
from sync.hub.reading.nodepage import NodePages
from sync.hub.reading.nodes import Nodes
from sync.hub.reading.routes import reading_routes
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.contract import Store
from sync.hub.web.api import Route
from sync.hub.web.part import Part
from sync.hub.web.shell import Page
from sync.hub.web.sse import Streams


class Looking(Part):
    def __init__(self, app: web.Application, store: Store, door: Door, clock: Clock) -> None:
        """Open streams are told what comes through `door`, and end with `app`."""
        self._store = store
        self._clock = clock
        self._nodes, self._streams = Nodes(store.sql), Streams(clock)
        door.watchers.append(self._streams.ring)
        app.on_shutdown.append(self._streams.end)

    def routes(self) -> Sequence[Route[Any, Any]]:
        return reading_routes(self._store.sql, self._nodes, self._streams, self._clock)

    def pages(self) -> Sequence[Page[Any]]:
        sql, rollups = self._store.sql, Rollups(self._store.sql)
        parts = (
            FleetPages(self._nodes, rollups),
            NodePages(self._nodes, self._store, NodeFacts(sql, self._store.control, Alerts(sql))),
            CompletenessPages(CompletenessApi(sql, rollups), self._nodes),
            IngestPages(Audits(sql)),
        )
        return [page for part in parts for page in part.pages()]
