"""The fleet as its newest records show it; pure, the same for every store."""

from collections.abc import Iterable

from gateway.core.model import Layout, Reading, Record, readings_of
from gateway.core.status import DeviceState


def devices_of(newest: Iterable[tuple[Layout, Record]]) -> tuple[DeviceState, ...]:
    """Of a node's last records one entry a device, its groups joined; of a key in several layouts the newest value."""
    readings: dict[str, dict[str, Reading]] = {}
    latest: dict[str, tuple[int, Layout]] = {}
    for layout, record in sorted(newest, key=lambda entry: entry[1].ts):
        readings.setdefault(layout.device, {}).update((r.key, r) for r in readings_of(layout, record))
        latest[layout.device] = record.ts, layout
    return tuple(
        DeviceState(name, layout.role, layout.profile, "online", ts, ts=ts, readings=tuple(readings[name].values()))
        for name, (ts, layout) in sorted(latest.items())
    )
