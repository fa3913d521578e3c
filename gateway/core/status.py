"""What the appliance and the hub say of themselves: the shapes behind pages and JSON API."""

from typing import Literal

import msgspec

from gateway.core.model import Reading, Role

Presence = Literal["starting", "online", "offline"]


class DeviceState(msgspec.Struct, frozen=True):
    """One device as it is now; all times are milliseconds since 1970 UTC, 0 for never."""

    name: str
    role: Role
    profile: str
    presence: Presence
    since: int  # when `presence` last changed
    reason: str = ""  # why it is offline, and what to do
    ts: int = 0  # when the newest of `readings` was measured
    missed: int = 0  # polls that were due while the bus was still busy, since the start
    readings: tuple[Reading, ...] = ()
    doubtful: int = 0  # records set aside: their times cannot be right


class BufferState(msgspec.Struct, frozen=True):
    """The store on this gateway."""

    head: int  # the seq that the next record gets; so many have been taken in this epoch
    bytes: int  # of the file and its log
    error: str = ""  # why nothing can be stored just now


class SyncState(msgspec.Struct, frozen=True):
    """How far the hub has what we have."""

    hub: str  # its address; empty where the site has none
    connected: bool = False
    backlog: int = 0  # records that the hub has not acknowledged
    acknowledged_at: int = 0
    error: str = ""  # of the last attempt, and what to do


class SiteState(msgspec.Struct, frozen=True):
    """The whole site; `devices` may be only those that changed, where it is sent as a change."""

    site: str
    version: str
    now: int
    devices: tuple[DeviceState, ...]
    buffer: BufferState
    sync: SyncState


class NodeState(msgspec.Struct, frozen=True):
    """One gateway as the hub knows it."""

    node: str
    online: bool
    last_seen: int  # of its last good push
    newest: int  # ts of its newest reading
    lag_ms: int  # how much older than now that reading is
    records: int  # that the hub holds of it
    devices: tuple[DeviceState, ...] = ()


class HistoryRow(msgspec.Struct, frozen=True, array_like=True):
    """One value at one time, for a chart: [ts, value or null]."""

    ts: int
    value: float | None
