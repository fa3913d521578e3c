"""Takes what devices send by themselves: it is on the disk before they are told so, and only once.

A record's digest is marked as taken after its commit, not with it. A crash in between leaves the
record and not the mark: the device sends it again and it is kept twice, which the hub, who knows
records by layout and time, sees as one. The other way round it would be lost.
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from gateway.buffer.buffer import Buffer
from gateway.buffer.doubtful import Doubtful
from gateway.config import PushDevice
from gateway.core import credential
from gateway.core.clock import PLAUSIBLE_UNTIL_MS, Clock
from gateway.core.errors import CodecError, DeviceError, StorageError
from gateway.core.model import BACKFILLED, DATED
from gateway.core.pushed import Parcel, Parsed, PushAnswer, PushedRecord, Rejected
from gateway.live import Live
from gateway.presence import Presence
from gateway.pushlayouts import PushLayouts
from gateway.site import RunningSite

BACKFILL_MS = 5 * 60_000
WITHIN_MS = 1000
AT_ONCE = 2000  # records that go into one commit
THREAD_FROM = 64 * 1024  # bytes that are parsed beside the event loop
REMEMBERED_MS = 400 * 86_400_000
DOUBTFUL_MAX = 100_000
NO_DIGEST = b""
LOOK_S = 5.0
FORGET_S = 86_400.0
DEVICES_MAX = 1000

log = logging.getLogger(__name__)


class Shapes(Protocol):
    """`drivers.intake.shapes`."""

    def parse(self, body: bytes, content_type: str = "", *, zone: tzinfo, metric: str = "") -> Parsed: ...


class Guard(Protocol):
    """`drivers.intake.guard`."""

    def why_doubtful(self, ts: int, now_ms: int) -> str: ...
    def retimed(self, stamps: Sequence[tuple[int, int]], now_ms: int) -> list[int | None]: ...


@dataclass(slots=True)
class _Sender:
    """A device that sends."""

    config: PushDevice
    zone: tzinfo
    layouts: PushLayouts
    presence: Presence
    heard_at: int = 0  # wall time; 0: not since the start
    doubtful: int = 0
    newest: dict[bytes, int] = field(default_factory=dict)  # by layout: the last time of receipt that stood for a ts


@dataclass(slots=True)
class _Item:
    """A record on its way."""

    sender: _Sender
    record: PushedRecord
    group: str
    answer: int
    ts: int | None  # None: the time of receipt
    doubt: str
    refused: bool = False


@dataclass(slots=True)
class _Counts:
    accepted: int = 0
    duplicate: int = 0
    doubtful: int = 0
    rejected: list[Rejected] = field(default_factory=list)


class Intake:
    """The one door for what devices send, over HTTP or MQTT."""

    def __init__(
        self, site: RunningSite, live: Live, buffer: Buffer, clock: Clock, shapes: Shapes, guard: Guard, timezone: str
    ) -> None:
        self._site = site
        self._live = live
        self._buffer = buffer
        self._clock = clock
        self._shapes = shapes
        self._guard = guard
        self._timezone = timezone
        self._senders: dict[str, _Sender] = {}
        self._pending: set[bytes] = set()  # digests of what was put and is not marked yet
        self._taking = asyncio.Lock()
        self._dropped = 0
        self._recalled = False
        self._said: set[str] = set()  # devices whose doubtful times were told of today

    def add(self, device: PushDevice) -> None:
        """Take what this device sends from now on."""
        known = {layout.id for layout in self._buffer.layouts.values() if layout.device == device.name}
        self._senders[device.name] = _Sender(
            device, ZoneInfo(device.timezone or self._timezone),
            PushLayouts(device.name, device.role, device.profile, device.keys, known),
            Presence(self._clock.monotonic_s(), device.stale_s),
        )  # fmt: skip
        self._live.add(device.name, device.role, device.profile)

    async def recall(self) -> None:
        """Show what was set aside before the start, once the disk gives it."""
        try:
            counts = await self._buffer.pushed.doubtful_counts()
        except StorageError:
            return  # `run` asks again
        self._recalled = True
        for device, count in counts.items():
            if device in self._senders:
                self._doubted(self._senders[device], self._senders[device].doubtful + count)

    def knows(self, device: str) -> bool:
        return device in self._senders

    def welcome(self, device: str) -> bool:
        """Take a device that the configuration does not name; False where its name cannot be one, or there are many."""
        if len(self._senders) >= DEVICES_MAX:
            return False
        try:
            self.add(msgspec.convert({"name": device}, PushDevice))
        except msgspec.ValidationError:
            return False
        log.info("new device sends", extra={"device": device})
        return True

    def admits(self, device: str, token: str) -> bool:
        """Whether `token` is the device's; takes as long for a device that is not there."""
        sender = self._senders.get(device)
        return credential.matches(token, sender.config.token_sha256 if sender else None)

    async def parse(self, device: str, body: bytes, content_type: str = "", metric: str = "") -> Parsed:
        """What a body of a known device says. Raises CodecError where nothing of it can be read."""
        zone = self._senders[device].zone
        if len(body) < THREAD_FROM:
            return self._shapes.parse(body, content_type, zone=zone, metric=metric)
        return await asyncio.to_thread(self._shapes.parse, body, content_type, zone=zone, metric=metric)

    async def push(self, device: str, body: bytes, content_type: str) -> PushAnswer:
        """Take one body of a known device; on the disk when this returns. Raises CodecError, StorageError."""
        return (await self.take([Parcel(device, await self.parse(device, body, content_type))]))[0]

    async def take(self, parcels: Sequence[Parcel]) -> list[PushAnswer]:
        """Take what known devices sent; on the disk when this returns. Raises StorageError.

        After an error the same may be given again: what is kept is kept once.
        """
        counts = [_Counts(rejected=list(parcel.parsed.rejected)) for parcel in parcels]
        items = [item for number, parcel in enumerate(parcels) for item in self._items(parcel, number)]
        for start in range(0, len(items), AT_ONCE):
            await self._take_some(items[start : start + AT_ONCE], counts)
        return [msgspec.convert(one, PushAnswer, from_attributes=True) for one in counts]

    def _items(self, parcel: Parcel, number: int) -> list[_Item]:
        """The parcel's records, each with its time or with why that cannot be right."""
        records, sender = parcel.parsed.records, self._senders[parcel.device]
        # What a device says cannot be held against a time that is not known.
        now_ms = self._clock.wall_ms() if self._site.time_known else PLAUSIBLE_UNTIL_MS
        counted = sorted((r.index, r.ts_ms) for r in records if r.index is not None and r.ts_ms is not None)
        better = dict(zip(counted, self._guard.retimed(counted, now_ms), strict=True))
        items = []
        for record in records:
            ts, doubt = record.ts_ms, ""
            if ts is None:
                doubt = "has no time, and is not alone" if len(records) > 1 else ""
            elif why := self._guard.why_doubtful(ts, now_ms):
                ts = better.get((record.index, ts)) if record.index is not None else None
                doubt = why if ts is None else ""
            items.append(_Item(sender, record, parcel.group, number, ts, doubt))
        return items

    async def _take_some(self, items: Sequence[_Item], counts: Sequence[_Counts]) -> None:
        async with self._taking:
            digests = [_digest(item) for item in items]
            known = await self._buffer.pushed.known([digest for digest in digests if digest])
            if self._buffer.dropped != self._dropped:  # some of what was put is not going to be on the disk
                self._pending.clear()
                self._dropped = self._buffer.dropped
            doubtful = self._sort(items, digests, known, counts)
            await self._buffer.flushed()
            if self._buffer.dropped != self._dropped:
                raise StorageError("the disk took nothing for so long that readings were dropped", hint="send it again")
            marks = (
                {digest for digest, item in zip(digests, items, strict=True) if not item.refused} - known - {NO_DIGEST}
            )
            now_ms = self._clock.wall_ms()
            rows = [Doubtful(i.sender.config.name, now_ms, i.doubt, msgspec.json.encode(i.record)) for i in doubtful]
            if marks or rows:
                await self._buffer.pushed.mark(marks, rows, now_ms)
            self._pending -= marks
        for item in doubtful:
            self._doubted(item.sender, item.sender.doubtful + 1, item.doubt)
        for sender in {item.sender.config.name: item.sender for item in items}.values():
            self._heard(sender)

    def _sort(
        self, items: Sequence[_Item], digests: Sequence[bytes], known: Set[bytes], counts: Sequence[_Counts]
    ) -> list[_Item]:
        """Queue what is new and good, count all; those that are new and doubtful."""
        doubtful: list[_Item] = []
        seen = known | self._pending
        for item, digest in zip(items, digests, strict=True):
            count = counts[item.answer]
            if digest in seen:
                count.duplicate += 1
                continue
            if item.doubt:
                doubtful.append(item)
                count.doubtful += 1
            elif reason := self._put(item):
                count.rejected.append(Rejected(item.record.number, reason))
                item.refused = True
                continue
            else:
                count.accepted += 1
                self._pending |= {digest} - {NO_DIGEST}
            seen |= {digest} - {NO_DIGEST}
        return doubtful

    def _put(self, item: _Item) -> str:
        """Queue the record; why it cannot be, or empty."""
        now_ms, sender = self._clock.wall_ms(), item.sender
        ts = now_ms if item.ts is None else item.ts
        flags = 0 if item.ts is None else DATED
        if self._site.time_known and ts < now_ms - BACKFILL_MS:
            flags |= BACKFILLED
        try:
            layout, record = sender.layouts.record(item.record, ts, flags, item.group)
        except (CodecError, ValueError) as error:
            return str(error)
        if item.ts is None:  # two within a millisecond: the hub tells records apart by their times
            last = sender.newest.get(layout.id, 0)
            ts = last + 1 if 0 <= last - ts < WITHIN_MS else ts  # beyond, the clock was set back
            sender.newest[layout.id] = ts
            record = msgspec.structs.replace(record, ts=ts)
        self._site.took(layout, record)
        return ""

    def _doubted(self, sender: _Sender, count: int, why: str = "") -> None:
        sender.doubtful, name = count, sender.config.name
        self._live.doubted(name, count)
        if why and name not in self._said:
            self._said.add(name)
            log.warning("record set aside", extra={"device": name, "why": why})
            self._site.event("records_doubtful", name, why)

    def _heard(self, sender: _Sender) -> None:
        sender.presence.heard(self._clock.monotonic_s(), first=not sender.heard_at)
        sender.heard_at = self._clock.wall_ms()
        self._site.found(sender.config.name)

    async def run(self) -> None:
        """Say which devices have fallen silent, forget what is long past. Run until cancelled."""
        forget_s = self._clock.monotonic_s()
        while True:
            self.look()
            if not self._recalled:
                await self.recall()
            if self._clock.monotonic_s() >= forget_s:
                forget_s += FORGET_S
                await self._forget()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Call devices offline that have been silent for too long."""
        now_s = self._clock.monotonic_s()
        for name, sender in self._senders.items():
            if sender.presence.silent(now_s):
                since = "the gateway started"
                if sender.heard_at:
                    since = f"{datetime.fromtimestamp(sender.heard_at / 1000, sender.zone):%Y-%m-%d %H:%M %Z}"
                hint = "check its power, its network and its token"
                self._site.lost(name, DeviceError(f"nothing came since {since}", hint=hint))

    async def _forget(self) -> None:
        self._said.clear()
        try:
            await self._buffer.pushed.forget(self._clock.wall_ms() - REMEMBERED_MS, DOUBTFUL_MAX)
        except StorageError as error:  # there is always tomorrow
            log.warning("old marks not forgotten", extra={"why": str(error)})


def _digest(item: _Item) -> bytes:
    """16 bytes for device, the device's own time and index, and values; NO_DIGEST where it says no time."""
    record = item.record
    if record.ts_ms is None:
        return NO_DIGEST
    told = (item.sender.config.name, record.ts_ms, record.index, record.values, record.units)
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).digest()[:16]
