"""Builds a bus from its configuration: the channel, the link on it, its devices, and the task that polls them.

With `app.py` one of the few files that name concrete drivers.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from drivers.modbus.device import ModbusDevice
from drivers.modbus.links import OpenLink, Place, link_to
from drivers.modbus.planner import gap_worth
from drivers.modbus.profile import Link as Wants
from drivers.modbus.profile import Profile
from gateway.buffer.notebook import Notebook
from gateway.busstate import BusWatch
from gateway.config import BusConfig
from gateway.core.clock import Clock
from gateway.polling import BusPoller, Device, PollSink

USUAL_LATENCY_S = 0.02  # of a device on RS485, before anything was measured


@dataclass(frozen=True, slots=True)
class Bus:
    """One bus, ready to run."""

    name: str
    devices: tuple[ModbusDevice, ...]
    link: OpenLink
    poller: BusPoller
    watch: BusWatch


def build_bus(
    config: BusConfig, profiles: dict[str, Profile], sink: PollSink, clock: Clock, notebook: Notebook,
    stack: contextlib.AsyncExitStack,
) -> Bus:  # fmt: skip
    """Nothing is opened yet; the link opens its channel at the first poll and is closed with `stack`.

    Raises ConfigError for an address that is none.
    """
    wants = together([profiles[device.profile].link for device in config.devices])
    place = place_of(config, wants)
    channel = place.channel()
    link = link_to(channel, rtu=place.is_rtu, wants=wants)
    stack.push_async_callback(link.close)
    gap = _gap(place)
    devices = tuple(
        ModbusDevice(
            entry.name, entry.profile, profiles[entry.profile], link, clock,
            role=entry.role, unit_id=entry.unit_id, poll_s=entry.poll_s, gap=gap, memory=notebook,
        )
        for entry in config.devices
    )  # fmt: skip
    polled: list[Device] = list(devices)
    units = {device.unit_id: device.name for device in devices}
    watch = BusWatch(config.name, channel.name, kind_of(place), units, link.statistics, clock)
    return Bus(config.name, devices, link, BusPoller(polled, sink, clock), watch)


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


def serial_hint(port: str) -> str:
    """The name by which the port should be known instead, because it stays; empty where it is one."""
    by_id = Path("/dev/serial/by-id")
    if port.startswith(str(by_id)) or not by_id.is_dir():
        return ""
    same = [str(name) for name in by_id.iterdir() if name.resolve() == Path(port).resolve()]
    return f"{port} may be another adapter after a restart; write {same[0]}" if same else ""
