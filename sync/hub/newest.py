"""The fleet as its newest records show it; pure, the same for every store."""

from collections.abc import Iterable

from gateway.core.model import Layout, Reading, Record, readings_of
from gateway.core.status import DeviceState, NodeState
from sync.hub.store import ONLINE_MS


def node_state(node: str, last_seen: int, records: int, newest: Iterable[tuple[Layout, Record]], now: int) -> NodeState:
    """`newest`: the last record of each of its layouts; times in milliseconds since 1970 UTC."""
    devices = devices_of(newest)
    newest_ms = max((device.ts for device in devices), default=0)
    lag_ms = now - newest_ms if newest_ms else 0
    return NodeState(node, now - last_seen < ONLINE_MS, last_seen, newest_ms, lag_ms, records, devices)


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
