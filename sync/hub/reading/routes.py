"""Reading back from the hub: all of its routes."""

from collections.abc import Sequence
from typing import Any

from gateway.core.clock import Clock
from sync.hub.reading.audit import Audits
from sync.hub.reading.completeness import CompletenessApi
from sync.hub.reading.devices import Devices
from sync.hub.reading.events import Events
from sync.hub.reading.export import Export
from sync.hub.reading.live import Live
from sync.hub.reading.nodes import Nodes
from sync.hub.reading.records import Records
from sync.hub.reading.series import Series
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.sql import Sql
from sync.hub.web.api import Route
from sync.hub.web.sse import Streams


def reading_routes(sql: Sql, nodes: Nodes, streams: Streams, clock: Clock) -> Sequence[Route[Any, Any]]:
    rollups = Rollups(sql)
    series, live = Series(sql, rollups), Live(sql, nodes, streams, clock)
    export, completeness = Export(sql, series), CompletenessApi(sql, rollups)
    parts = (nodes, Devices(sql), live, series, Records(sql), export, Events(sql), Audits(sql), completeness)
    return [route for part in parts for route in part.routes()]
