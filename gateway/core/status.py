"""What the appliance and the hub say of themselves: the shapes behind pages and JSON API."""

from typing import Literal

import msgspec

from gateway.core.model import Raw, Reading, Role

Presence = Literal["starting", "online", "offline"]
Resolution = Literal["raw", "1m", "1h"]


class DeviceState(msgspec.Struct, frozen=True):
    """One device as it is now; all times are milliseconds since 1970 UTC, 0 for never."""

    name: str
    role: Role
    profile: str
    presence: Presence
    since: int  # when `presence` last changed
    reason: str = ""  # why it is offline, and what to do
    ts: int = 0  # when the newest of `readings` was measured
    bus: str = ""
    unit_id: int = -1  # on that bus; -1 where the protocol has none
    missed: int = 0  # polls that were due while the bus was still busy, since the start
    readings: tuple[Reading, ...] = ()
    doubtful: int = 0  # records set aside: their times cannot be right
    why_missing: dict[str, str] = {}  # by key, where more is known than that the device does not give it


class Contact(msgspec.Struct, frozen=True):
    """One line of a device's connection log."""

    ts: int
    device: str
    status: str  # online, offline
    error: str
    response_ms: float | None  # the median of the last answers


class UnitState(msgspec.Struct, frozen=True):
    """How one unit of a bus has answered since the start."""

    unit_id: int
    device: str  # empty where none is configured with this id
    asked: int
    answered: int
    timeouts: int  # nothing came
    garbled: int  # bytes without a good checksum came
    foreign: int  # something else came
    late: int  # replies that came when nobody waited any more
    exceptions: dict[str, int]  # by code
    median_ms: float | None  # of the last 200 answers
    p95_ms: float | None
    load: float  # the share of the bus's time in the last minute
    lost_share: float  # of the time since the start: waited for it in vain


class BusState(msgspec.Struct, frozen=True):
    """One bus."""

    name: str
    where: str
    kind: str  # serial, rtu over tcp, tcp, udp
    connects: int
    disconnects: int
    connect_failures: int
    noise_bytes: int
    load: float  # the share of the last minute in which it was busy
    units: tuple[UnitState, ...]
    advice: tuple[str, ...] = ()  # what is wrong, and what to try


class BufferState(msgspec.Struct, frozen=True):
    """The store on this gateway."""

    head: int  # the seq that the next record gets; so many have been taken in this epoch
    bytes: int  # of the file and its log
    error: str = ""  # why nothing can be stored just now, and what to do
    pending: int = 0  # records in memory that are not on the disk yet
    dropped: int = 0  # records lost since the start: the disk took nothing and the memory was full
    budget: int = 0  # bytes that the file may have; 0: not known
    oldest: int = 0  # ts of the oldest record that is still whole; 0: none
    thinned_hours: int = 0  # hours of a device that have lost resolution
    commit_s: float = 1  # seconds between commits: what a power cut may cost
    configured_s: float = 1  # the same, as the configuration says; somebody may have changed it on the page
    written_per_day: int = 0  # bytes that reach the disk, all programs together; 0: not known
    card_years: float = 0  # how long a card of the configured endurance lasts at that; 0: not known
    warning: str = ""  # what is wrong with the room for it, and what to do; all the same everything is stored


class ThinnedRange(msgspec.Struct, frozen=True):
    """A stretch of time whose records have lost resolution; from `since` up to `until`."""

    since: int
    until: int
    level_ms: int  # one record of a poll group is left in so many milliseconds
    removed: int
    kept: int


class ClockState(msgspec.Struct, frozen=True):
    """What is known of the time."""

    known: bool  # false: times are estimates, and are corrected when the time is known
    source: str  # kernel: it is synchronised; hub: by the hub's word; set: somebody set it; estimate
    offset_ms: int = 0  # by how much the times of this start were, or would have been, corrected
    since: int = 0  # when it became known
    steps: int = 0  # how often the clock was set since the start, beyond half a second


class StreamState(msgspec.Struct, frozen=True):
    """How far the hub has one stream."""

    name: Literal["records", "events"]
    head: int = 0  # the seq that the next one gets
    backlog: int = 0  # how many the hub has not acknowledged
    oldest: int = 0  # ts of the oldest of them, as far as is known; 0: none
    newest_sent: int = 0  # ts of the newest that the hub acknowledged
    per_s: float = 0.0  # acknowledged per second, over the last minute
    done_s: float | None = None  # until the backlog is sent, at that rate; None: nobody knows
    error: str = ""  # of the last attempt, and what to do
    next_s: float = 0.0  # until the next attempt


class SyncState(msgspec.Struct, frozen=True):
    """How far the hub has what we have."""

    hub: str  # its address; empty where the site has none
    connected: bool = False
    backlog: int = 0  # records that the hub has not acknowledged
    acknowledged_at: int = 0
    error: str = ""  # of the last attempt, and what to do
    streams: tuple[StreamState, ...] = ()
    transport: str = ""  # https or amqp: what carries at present
    quarantined: int = 0  # records and events that the hub refuses for good
    bytes_today: int = 0  # sent and received since midnight, site's time; headers estimated
    bytes_budget: int = 0  # of a day; 0: no limit
    compared_at: int = 0  # when the hub's account was last compared with ours
    compared: int = 0  # hours of layouts that there were to compare then
    differing: int = 0  # those that differed


class RefusedLine(msgspec.Struct, frozen=True):
    """A record or an event that the hub refuses for good, as people see it."""

    id: int
    kind: Literal["records", "events"]
    epoch: str  # of the buffer that it was in
    seq: int
    ts: int  # when it was measured, or happened
    device: str  # empty where it is not known
    what: str  # a record's poll group, an event's kind
    reason: str  # the hub's words
    at: int  # when it was refused
    again: bool  # it is about to be sent once more
    content: dict[str, Raw | None]  # by key; null: missing. Empty where it cannot be read


class SiteState(msgspec.Struct, frozen=True):
    """The whole site; `devices` may be only those that changed, where it is sent as a change."""

    site: str
    version: str
    now: int
    devices: tuple[DeviceState, ...]
    buffer: BufferState
    sync: SyncState
    buses: tuple[BusState, ...] = ()
    clock: ClockState = ClockState(known=True, source="kernel")


class HistoryRow(msgspec.Struct, frozen=True, array_like=True):
    """One value at one time, for a chart: [ts, value or null, low or null, high or null].

    Of a minute or an hour, `ts` is when it begins; `value` is the mean, for what has none the last; `low`
    and `high` are the least and the greatest value, of a counter the first and the last.
    """

    ts: int
    value: float | None
    low: float | None = None
    high: float | None = None


class History(msgspec.Struct, frozen=True):
    """One point over a range of time, oldest first."""

    resolution: Resolution
    rows: tuple[HistoryRow, ...]


class EnergyRow(msgspec.Struct, frozen=True, array_like=True):
    """What a counter counted in one period: [ts, increase or null, recovered]."""

    ts: int  # when the period begins
    increase: float | None  # since the last value before the period; None: there was no reading in it
    recovered: float = 0.0  # the part of it that came after a downtime: it may belong to an earlier period
