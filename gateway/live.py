"""The live view: the newest reading of everything, in memory, and who waits for changes."""

from collections.abc import Iterable

import msgspec

from gateway.bell import Bell
from gateway.core.clock import Clock
from gateway.core.errors import DeviceError
from gateway.core.model import UNCERTAIN, Layout, Reading, Record, Role, readings_of
from gateway.core.status import DeviceState, Presence


class Live:
    """The state of each device; every change gets the next version."""

    def __init__(self, clock: Clock) -> None:
        self.changed = Bell()  # rings with the newest version
        self._clock = clock
        self._states: dict[str, DeviceState] = {}
        self._newest: dict[str, dict[str, tuple[Layout, Record]]] = {}  # by device and group
        self._versions: dict[str, int] = {}

    def add(self, device: str, role: Role, profile: str, *, bus: str = "", unit_id: int = -1) -> None:
        """Show a device that is going to be polled, or to send."""
        since = self._clock.wall_ms()
        self._states[device] = DeviceState(device, role, profile, "starting", since, bus=bus, unit_id=unit_id)
        self._newest[device] = {}
        self._touch(device)

    def took(self, layout: Layout, record: Record) -> None:
        """Show a record; an older one than is shown changes nothing, unless the clock was set back since."""
        groups = self._newest[layout.device]
        shown = groups.get(layout.group)
        if shown is None or record.ts >= shown[1].ts or shown[1].ts > self._clock.wall_ms():
            groups[layout.group] = layout, record
            self._touch(layout.device)

    def found(self, device: str) -> bool:
        """The device answers; whether that is news."""
        return self._set(device, "online", "")

    def lost(self, device: str, error: DeviceError) -> bool:
        """The device does not answer; whether that is news. Its last readings stay, with their age."""
        reason = error.in_full
        return self._set(device, "offline", reason)

    def missed(self, device: str, polls: int) -> None:
        """Count polls that were due while the bus was still busy."""
        state = self._states[device]
        self._states[device] = msgspec.structs.replace(state, missed=state.missed + polls)

    def doubted(self, device: str, records: int) -> None:
        """Say how many records of the device are set aside because their times cannot be right."""
        if self._states[device].doubtful != records:
            self._states[device] = msgspec.structs.replace(self._states[device], doubtful=records)
            self._touch(device)

    def retimed(self, by_ms: int) -> None:
        """The time became known: what was stamped before it is later by so much."""
        for device, state in self._states.items():
            self._states[device] = msgspec.structs.replace(state, since=state.since + by_ms)
            for group, (layout, record) in self._newest[device].items():
                if record.flags & UNCERTAIN:
                    right = msgspec.structs.replace(record, ts=record.ts + by_ms, flags=record.flags & ~UNCERTAIN)
                    self._newest[device][group] = layout, right
            self._touch(device)

    def _set(self, device: str, presence: Presence, reason: str) -> bool:
        state = self._states[device]
        news = state.presence != presence
        if news or state.reason != reason:
            since = self._clock.wall_ms() if news else state.since
            self._states[device] = msgspec.structs.replace(state, presence=presence, since=since, reason=reason)
            self._touch(device)
        return news

    def _touch(self, device: str) -> None:
        self._versions[device] = self.changed.reached + 1
        self.changed.ring(self.changed.reached + 1)

    def devices(self, since_version: int = -1) -> tuple[DeviceState, ...]:
        """The devices that changed after `since_version`, in the order in which they were added."""
        return tuple(self._with_readings(name) for name, version in self._versions.items() if version > since_version)

    def layouts(self, device: str) -> Iterable[Layout]:
        """The layouts that the device was last read by. Raises KeyError for an unknown device."""
        return [layout for layout, _ in self._newest[device].values()]

    def _with_readings(self, device: str) -> DeviceState:
        """Readings are decoded here, when somebody looks, not at each poll."""
        taken = self._newest[device].values()
        newest: dict[str, tuple[int, Reading]] = {}  # a device that sends may bring one key in several groups
        for layout, record in taken:
            for reading in readings_of(layout, record):
                if reading.key not in newest or record.ts > newest[reading.key][0]:
                    newest[reading.key] = record.ts, reading
        readings = tuple(reading for _, reading in newest.values())
        ts = max((record.ts for _, record in taken), default=0)
        return msgspec.structs.replace(self._states[device], ts=ts, readings=readings)
