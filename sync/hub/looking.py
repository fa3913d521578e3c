"""Looking at the fleet, put together: what is read back, over the API and on pages."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.core.clock import Clock
from sync.hub.api import Route
from sync.hub.batchpage import BatchPages
from sync.hub.completenesspage import CompletenessPages
from sync.hub.door import Door
from sync.hub.fleetpage import FleetPages
from sync.hub.nodepage import NodePages
from sync.hub.part import Part
from sync.hub.reading import reading_routes
from sync.hub.readingaudit import Audits
from sync.hub.readingcompleteness import CompletenessApi
from sync.hub.readingnodes import Nodes
from sync.hub.rollups import Rollups
from sync.hub.shell import Page
from sync.hub.sse import Streams
from sync.hub.store import Store


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
            NodePages(self._nodes, self._store),
            CompletenessPages(CompletenessApi(sql, rollups)),
            BatchPages(Audits(sql)),
        )
        return [page for part in parts for page in part.pages()]
