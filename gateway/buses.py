"""Builds a bus from its configuration: the channel, the link on it, its devices, and the task that polls them.

With `app.py` one of the few files that name concrete drivers.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from drivers.bus.capture import CaptureFile
from drivers.bus.tap import TappedChannel
from drivers.intake.guard import retimed
from drivers.locks import board as locks
from drivers.locks.frames import frames_in as lock_frames_in
from drivers.modbus.acuvim_log import AcuvimLog
from drivers.modbus.device import ModbusDevice
from drivers.modbus.links import OpenLink, Place, header_of, link_to
from drivers.modbus.planner import gap_worth
from drivers.modbus.points import place_points
from drivers.modbus.profile import Link as Wants
from drivers.modbus.profile import Profile
from drivers.modbus.rtu import RtuLink, rtu_line
from drivers.selectlive import device as selectlive
from drivers.selectlive.feed import BoxFeed, CloudFeed
from gateway.backfill import Backfill
from gateway.buffer.buffer import Buffer
from gateway.busstate import BusWatch
from gateway.config import BusConfig, DeviceConfig, SelectLiveConfig
from gateway.core.clock import Clock
from gateway.core.statistics import BusStatistics
from gateway.identity import Identities
from gateway.polling import BusPoller, Device
from gateway.site import Polled, RunningSite

USUAL_LATENCY_S = 0.02  # of a device on RS485, before anything was measured
POLL_S = 5.0
NOT_MODBUS = (locks.PROFILE, selectlive.PROFILE)  # profiles that are code, not a file


class BusDevice(Device, Polled, Protocol):
    """What stands on a bus: polled, and shown."""


@dataclass(frozen=True, slots=True)
class Bus:
    """One bus, ready to run."""

    name: str
    devices: Sequence[BusDevice]
    poller: BusPoller
    watch: BusWatch
    boards: Mapping[str, locks.LockBoard] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every bus needs of the gateway."""

    profiles: Mapping[str, Profile]
    site: RunningSite
    buffer: Buffer
    identities: Identities
    clock: Clock
    timezone: str
    folder: Path  # of the configuration
    stack: contextlib.AsyncExitStack  # closes what is opened


def build_bus(config: BusConfig, around: Surroundings) -> Bus:
    """A bus that `check_bus` has found good. Nothing but a capture's file is opened yet: that is for the first poll.

    Raises ConfigError where that file cannot be made.
    """
    if config.selectlive is not None:
        return _select_live(config, config.selectlive, around)
    modbus = [entry for entry in config.devices if entry.profile not in NOT_MODBUS]
    wants = together([around.profiles[entry.profile].link for entry in modbus] or [Wants(baud=19200)])
    place = place_of(config, wants)
    channel = place.channel()
    if config.capture is not None:
        sink = CaptureFile(around.folder / config.capture, header_of(place), around.clock)
        around.stack.callback(sink.close)
        channel = TappedChannel(channel, sink)
    boards: dict[str, locks.LockBoard] = {}
    link: OpenLink
    if any(entry.profile == locks.PROFILE for entry in config.devices):
        line = rtu_line(channel, settle_s=wants.settle_s, also=lock_frames_in)
        link = RtuLink(line)
        boards = {
            entry.name: locks.LockBoard(
                entry.name, line, around.clock, unit_id=entry.unit_id or 0, role=entry.role,
                poll_s=entry.poll_s or POLL_S, closed_bit=entry.closed_bit,
            )
            for entry in config.devices if entry.profile == locks.PROFILE
        }  # fmt: skip
    else:
        link = link_to(channel, rtu=place.is_rtu, wants=wants)
    around.stack.push_async_callback(link.close)
    gap = _gap(place)
    readers = {entry.name: _modbus_device(entry, link, gap, around) for entry in modbus}
    devices: list[BusDevice] = [readers.get(entry.name) or boards[entry.name] for entry in config.devices]
    poller = BusPoller(devices, around.site, around.clock)
    for entry in modbus:
        if entry.log is not None:
            _take_log(entry, readers[entry.name], link, poller, around)
    units = {device.unit_id: device.name for device in devices}
    watch = BusWatch(config.name, channel.name, kind_of(place), units, link.statistics, around.clock)
    return Bus(config.name, devices, poller, watch, boards)


def _modbus_device(entry: DeviceConfig, link: OpenLink, gap: int | None, around: Surroundings) -> ModbusDevice:
    return ModbusDevice(
        entry.name, entry.profile, around.profiles[entry.profile], link, around.clock,
        role=entry.role, unit_id=entry.unit_id, poll_s=entry.poll_s or POLL_S, gap=gap,
        memory=around.buffer.notebook, identities=around.identities,
    )  # fmt: skip


def _take_log(
    entry: DeviceConfig, device: ModbusDevice, link: OpenLink, poller: BusPoller, around: Surroundings
) -> None:
    """Have the device's own log taken between the polls."""
    assert entry.log is not None
    placed = {point.point.key: point for point in place_points(device.profile)}
    source = AcuvimLog(
        entry.name, [placed[key] for key in entry.log.points], link, unit_id=device.unit_id,
        timeout_s=device.profile.link.timeout_s, number=entry.log.number,
        zone=ZoneInfo(entry.log.zone or around.timezone), profile=entry.profile, role=device.role,
    )  # fmt: skip
    backfill = Backfill(
        source, around.buffer, around.buffer.pulled, around.clock, retimed, around.site.event,
        every_s=entry.log.every_s, time_known=lambda: around.site.time_known,
    )  # fmt: skip
    around.site.watch_presence(entry.name, found=backfill.wake, lost=backfill.doze)
    poller.aside(backfill.step)


def _select_live(config: BusConfig, live: SelectLiveConfig, around: Surroundings) -> Bus:
    (entry,) = config.devices
    feed: BoxFeed | CloudFeed
    if live.host is not None:
        feed = BoxFeed(live.host, live.device_id or "")
    else:
        feed = CloudFeed(live.email or "", live.password or "", live.system or "", url=live.url)
    usual_s = 10.0 if live.host is not None else 60.0  # the cloud is asked once a minute at most
    device = selectlive.SelectLive(
        entry.name, feed, around.clock, role=entry.role, poll_s=entry.poll_s or usual_s
    )  # fmt: skip
    around.stack.push_async_callback(device.close)
    watch = BusWatch(config.name, feed.name, "select.live", {}, BusStatistics(), around.clock)
    return Bus(config.name, [device], BusPoller([device], around.site, around.clock), watch)


def place_of(config: BusConfig, wants: Wants) -> Place:
    """Where the bus is; what the configuration does not say of a serial port, the first profile does."""
    return Place(
        tcp=config.tcp or "", udp=config.udp or "", serial=config.serial or "", framing=config.framing,
        baud=config.baud or wants.baud, parity=config.parity or wants.parity,
        stop_bits=config.stop_bits or wants.stop_bits,
    )  # fmt: skip


def together(wants: list[Wants]) -> Wants:
    """What devices that share a bus want of it: the most careful of each."""
    return Wants(
        settle_s=max(link.settle_s for link in wants),
        in_flight=min(link.in_flight for link in wants),
        lax_transaction=any(link.lax_transaction for link in wants),
        baud=wants[0].baud, parity=wants[0].parity, stop_bits=wants[0].stop_bits,
    )  # fmt: skip


def kind_of(place: Place) -> str:
    """The bus in the words of `BusState.kind`."""
    if place.serial:
        return "serial"
    return "udp" if place.udp else "rtu over tcp" if place.is_rtu else "tcp"


def _gap(place: Place) -> int | None:
    """How many unused registers are worth reading over; None where the profile's own figure is good."""
    if place.udp or not place.is_rtu:
        return None
    character_s = 10 / place.baud
    return gap_worth(character_s, 3.5 * character_s, USUAL_LATENCY_S)
