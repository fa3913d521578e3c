"""Where the energy of a bill comes from: the counters of a site's meters, as the hub has rolled them up."""

import asyncio
from typing import Literal, NamedTuple, Protocol

from gateway.core.metering import KWH, Flow, flow
from gateway.core.model import Layout, Point
from gateway.core.rollup import DAY_MS, HOUR_MS, Bucket
from sync.hub.store.layouts import known_layout
from sync.hub.store.sql import Sql

SERIES = """SELECT series.node, series.encoded FROM series JOIN node ON node.id = series.node
    WHERE node.site = $1 ORDER BY series.id"""
AROUND_MS = 32 * DAY_MS  # so far a reading is looked for that bounds a gap at either end
QUARTERS_UP_TO_MS = 35 * DAY_MS  # of a longer time hours are taken: minutes of a year are half a million
QUARTER_MS = HOUR_MS // 4
OWN = "import_energy_total", "export_energy_total"
BEHIND = "meter_import_energy_total", "meter_export_energy_total"  # of a meter that an inverter reads
ONE_WAY = "energy_total", ""  # of a plain meter


class Meter(NamedTuple):
    """A device that counts what is bought, and sold where `sold` is not empty; the keys of both."""

    node: str
    device: str
    bought: str
    sold: str


class Flows(NamedTuple):
    bought: Flow
    sold: Flow


class EnergySource(Protocol):
    """What a site's meters counted."""

    async def meters(self, site: str) -> list[Meter]:
        """Those at the grid; where there is none, the meters that inverters read; else all meters. Raises
        StorageError."""
        ...

    async def flows(self, meter: Meter, since: int, until: int) -> Flows:
        """In since <= ts < until. Raises StorageError."""
        ...


class Buckets(Protocol):
    """See `sync.hub.rollup.rollups.Rollups.buckets`."""

    async def buckets(
        self, node: str, device: str, key: str, since: int, until: int, resolution: Literal["1m", "1h"]
    ) -> list[tuple[Point, list[Bucket]]]: ...


class RolledUpEnergy:
    """See `EnergySource`."""

    def __init__(self, sql: Sql, rollups: Buckets) -> None:
        self._sql = sql
        self._rollups = rollups

    async def meters(self, site: str) -> list[Meter]:
        """See `EnergySource.meters`."""
        rows = await self._sql.fetch(SERIES, site)  # the newest last
        return meters_of([(node, known_layout(encoded)) for node, encoded in rows])

    async def flows(self, meter: Meter, since: int, until: int) -> Flows:
        """See `EnergySource.flows`."""
        bought = await self._flow(meter, meter.bought, since, until)
        return Flows(bought, await self._flow(meter, meter.sold, since, until) if meter.sold else Flow((), ()))

    async def _flow(self, meter: Meter, key: str, since: int, until: int) -> Flow:
        """By quarters where the minutes are kept and few enough, else by hours."""
        hours = await self._rollups.buckets(meter.node, meter.device, key, since - AROUND_MS, until + AROUND_MS, "1h")
        if until - since > QUARTERS_UP_TO_MS:
            return await asyncio.to_thread(flow, hours, HOUR_MS, since, until)
        lo, hi = since // HOUR_MS * HOUR_MS, -(-until // HOUR_MS) * HOUR_MS
        minutes = await self._rollups.buckets(meter.node, meter.device, key, lo, hi, "1m")
        known = {minute.ts // HOUR_MS * HOUR_MS for _, found in minutes for minute in found}
        if any(lo <= hour.ts < hi and hour.ts not in known for _, found in hours for hour in found):
            return await asyncio.to_thread(flow, hours, HOUR_MS, since, until)
        around = [(point, [hour for hour in found if not lo <= hour.ts < hi]) for point, found in hours]
        return await asyncio.to_thread(flow, [*around, *minutes], QUARTER_MS, since, until)


def meters_of(layouts: list[tuple[str, Layout]]) -> list[Meter]:
    """See `EnergySource.meters`; by node and device. `layouts` with their nodes, the newest last; pure."""
    roles: dict[tuple[str, str], str] = {}
    keys: dict[tuple[str, str], set[str]] = {}
    for node, layout in layouts:
        roles[node, layout.device] = layout.role
        counters = {p.key for p in layout.points if p.kind == "counter" and p.quantity == "energy" and p.unit in KWH}
        keys.setdefault((node, layout.device), set()).update(counters)
    for wanted, ways in (
        (("grid",), (OWN, ONE_WAY)),
        (("pv", "battery", "other"), (BEHIND,)),
        (("meter",), (OWN, ONE_WAY)),
    ):
        found = [
            Meter(*of, bought, sold if sold in keys[of] else "")
            for of in sorted(keys)
            if roles[of] in wanted
            for bought, sold in [next((way for way in ways if way[0] in keys[of]), ("", ""))]
            if bought
        ]
        if found:
            return found
    return []
