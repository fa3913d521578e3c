"""Reading back from the hub: all of its routes."""

from collections.abc import Sequence
from typing import Any

from gateway.core.clock import Clock
from sync.hub.api import Route
from sync.hub.readingaudit import Audits
from sync.hub.readingcompleteness import CompletenessApi
from sync.hub.readingdevices import Devices
from sync.hub.readingevents import Events
from sync.hub.readingexport import Export
from sync.hub.readinglive import Live
from sync.hub.readingnodes import Nodes
from sync.hub.readingrecords import Records
from sync.hub.readingseries import Series
from sync.hub.rollups import Rollups
from sync.hub.sql import Sql
from sync.hub.sse import Streams


def reading_routes(sql: Sql, nodes: Nodes, streams: Streams, clock: Clock) -> Sequence[Route[Any, Any]]:
    rollups = Rollups(sql)
    series, live = Series(sql, rollups), Live(sql, nodes, streams, clock)
    export, completeness = Export(sql, series), CompletenessApi(sql, rollups)
    parts = (nodes, Devices(sql), live, series, Records(sql), export, Events(sql), Audits(sql), completeness)
    return [route for part in parts for route in part.routes()]
