"""A farm as configuration: which devices stand on which buses."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from drivers.modbus.profile import Profile
from drivers.simulator.counter import Counter
from drivers.simulator.farm import HOST, Farm, Framing, SimulatedBus, SimulatedDevice
from drivers.simulator.household import Household
from drivers.simulator.image import load_image
from drivers.simulator.source import Source
from drivers.simulator.world import World
from gateway.core import document
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import ConfigError
from gateway.core.model import Name


class _Checked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class DeviceEntry(_Checked, frozen=True, kw_only=True):
    """One entry of `devices:`; exactly one of `profile`, `image` and `counter` says what it is."""

    name: Name
    unit_id: Annotated[int, msgspec.Meta(ge=1, le=247)] | None = None  # else what the profile or image says, or 1
    profile: str = ""  # measures the invented house
    image: str = ""  # a file of recorded answers; a relative path starts at the configuration's folder
    counter: bool = False  # counts its answers
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1  # of the panels, or of the load, that it sees


class BusEntry(_Checked, frozen=True, kw_only=True):
    """One entry of `buses:`."""

    name: Name
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0  # 0 takes a free one
    framing: Framing = "tcp"
    devices: Annotated[tuple[DeviceEntry, ...], msgspec.Meta(min_length=1)]


class FarmConfig(_Checked, frozen=True, kw_only=True):
    """The simulator's configuration."""

    buses: Annotated[tuple[BusEntry, ...], msgspec.Meta(min_length=1)]
    seed: int = 0  # of the house that all profiles measure together
    hours_ahead: Annotated[float, msgspec.Meta(ge=-24, le=24)] = 0  # of the sun, for a demonstration at night
    log: str = ""  # a file that gets one line for each answered read


def parse_farm(text: str, source: str) -> FarmConfig:
    """Raises ConfigError with file, line, key and what was expected."""
    parsed = document.parse(text, source)
    config = document.convert(parsed, FarmConfig)
    _refuse_twins((bus.name, parsed.place_of(("buses", at))) for at, bus in enumerate(config.buses))
    entries = [
        (device, ("buses", bus_at, "devices", at))
        for bus_at, bus in enumerate(config.buses)
        for at, device in enumerate(bus.devices)
    ]
    for device, path in entries:
        if (device.profile != "") + (device.image != "") + device.counter != 1:
            place = parsed.place_of(path)
            raise ConfigError(f"{place}: {document.dotted(path)}: expected exactly one of profile, image and counter")
    _refuse_twins((device.name, parsed.place_of(path)) for device, path in entries)
    return config


def _refuse_twins(names: Iterable[tuple[str, str]]) -> None:
    places: dict[str, str] = {}
    for name, place in names:
        if name in places:
            raise ConfigError(f"{place}: name: {name} is here twice; the first is at {places[name]}")
        places[name] = place


def build(config: FarmConfig, profiles: Callable[[str], Profile], folder: Path) -> tuple[SimulatedBus, ...]:
    """The buses of `config`. Raises ConfigError for an image that cannot be read, or two units with one id."""
    household = Household(config.seed)
    return tuple(
        SimulatedBus(bus.name, tuple(_devices(bus, profiles, folder, household)), bus.port, bus.framing)
        for bus in config.buses
    )


def _devices(
    bus: BusEntry, profiles: Callable[[str], Profile], folder: Path, household: Household
) -> Iterator[SimulatedDevice]:
    taken: dict[int, str] = {}
    for entry in bus.devices:
        own_id, source = _source(entry, profiles, folder, household)
        unit_id = own_id if entry.unit_id is None else entry.unit_id
        if unit_id in taken:
            raise ConfigError(f"bus {bus.name}: {taken[unit_id]} and {entry.name} both have unit id {unit_id}")
        taken[unit_id] = entry.name
        yield SimulatedDevice(entry.name, unit_id, source)


def _source(
    entry: DeviceEntry, profiles: Callable[[str], Profile], folder: Path, household: Household
) -> tuple[int, Source]:
    """The device's usual unit id, and what answers for it."""
    if entry.counter:
        return 1, Counter()
    if entry.image:
        image = load_image(folder / entry.image)
        return image.unit_id, image
    profile = profiles(entry.profile)
    return profile.link.unit_id, World(profile, household=household, name=entry.name, share=entry.share)


@dataclass(frozen=True, slots=True)
class ShiftedClock:
    """A clock that is ahead of another."""

    clock: Clock
    ahead_ms: int

    def wall_ms(self) -> int:
        return self.clock.wall_ms() + self.ahead_ms

    def monotonic_s(self) -> float:
        return self.clock.monotonic_s()


async def serve(
    config: FarmConfig, ready: Callable[[str], None], *, profiles: Callable[[str], Profile], folder: Path
) -> None:
    """Run until cancelled; `ready` is told, once, where the buses listen.

    `folder` is where relative paths of `config` start. Raises ConfigError as `build` and `Farm.start` do.
    """
    log = folder / config.log if config.log else None
    clock = ShiftedClock(SystemClock(), round(config.hours_ahead * 3_600_000))
    async with Farm(build(config, profiles, folder), clock=clock, log=log) as farm:
        ready("simulated devices: " + ", ".join(f"{name} on {HOST}:{port}" for name, port in farm.ports.items()))
        await asyncio.Event().wait()
