"""Whether a bus can be built as it is configured; nothing is opened."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from drivers.bus.capture import check_replaceable
from drivers.locks import board as locks
from drivers.locks.frames import BOARD_MAX
from drivers.modbus.profile import Link as Wants
from drivers.modbus.profile import Profile
from gateway.buses import NOT_MODBUS, place_of, together
from gateway.config import BusConfig, DeviceConfig
from gateway.core.document import Document
from gateway.core.document import Path as Keys
from gateway.core.errors import ConfigError

WITH_LOG = "acuvim-ii"  # the profile whose devices keep a log that we can take
GENERAL = 248  # a PZEM-004T that is alone on its line answers to it
Mistake = tuple[Keys, str, str]  # where on the bus, what is wrong, and what to do


def check_bus(bus: BusConfig, profiles: Mapping[str, Profile], document: Document, keys: Keys, folder: Path) -> None:
    """Raises ConfigError for the first mistake of the bus, which stands at `keys` of `document`."""
    for within, words, hint in _mistakes(bus, profiles, folder):
        raise document.complaint((*keys, *within), words, hint=hint)


def _mistakes(bus: BusConfig, profiles: Mapping[str, Profile], folder: Path) -> Iterator[Mistake]:
    modbus = [entry for entry in bus.devices if entry.profile not in NOT_MODBUS]
    place = place_of(bus, together([profiles[entry.profile].link for entry in modbus] or [Wants()]))
    if bus.selectlive is not None:
        if bus.capture is not None:
            yield ("capture",), "a select.live cannot be captured", "leave it out"
    else:
        try:
            place.channel()
        except ConfigError as error:
            yield ("udp" if bus.udp else "tcp",), str(error), error.hint
        if len(modbus) < len(bus.devices) and not place.is_rtu:
            yield ("framing",), "lock boards speak no Modbus TCP", "set framing: rtu"
    yield from _wrong_units(bus, profiles, is_rtu=place.is_rtu)
    for d, entry in enumerate(bus.devices):
        for within, words, hint in _wrong_log(entry, profiles):
            yield ("devices", d, "log", *within), words, hint
    if bus.capture is not None:
        try:
            check_replaceable(folder / bus.capture)
        except ConfigError as error:
            yield ("capture",), str(error), error.hint


def _wrong_units(bus: BusConfig, profiles: Mapping[str, Profile], *, is_rtu: bool) -> Iterator[Mistake]:
    if bus.selectlive is not None:
        return
    beside_boards = any(entry.profile == locks.PROFILE for entry in bus.devices)
    before: list[tuple[int, DeviceConfig]] = []
    for d, entry in enumerate(bus.devices):
        keys = "devices", d, "unit_id"
        is_board = entry.profile == locks.PROFILE
        usual = 0 if is_board else profiles[entry.profile].link.unit_id
        unit_id = usual if entry.unit_id is None else entry.unit_id
        if is_board and unit_id > BOARD_MAX:
            yield keys, f"expected 0-{BOARD_MAX}, got {unit_id}", "see the board's switches"
        if not is_board and is_rtu and not 1 <= unit_id <= 247 and not (unit_id == GENERAL and len(bus.devices) == 1):
            yield keys, f"expected 1-247, got {unit_id}", "no device answers to another in RTU"
        if not is_board and beside_boards and unit_id == 2:  # its frames begin as those of lock boards do
            yield keys, f"{entry.name}: no unit id 2 beside lock boards", "give it another"
        for other_id, other in before:  # two profiles may read one Modbus unit
            if other_id == unit_id and (
                other.profile == entry.profile or locks.PROFILE in (other.profile, entry.profile)
            ):
                yield keys, f"{other.name} and {entry.name} both have unit id {unit_id}", "give one of them another"
        before.append((unit_id, entry))


def _wrong_log(entry: DeviceConfig, profiles: Mapping[str, Profile]) -> Iterator[Mistake]:
    if entry.log is None:
        return
    profile = profiles.get(entry.profile)
    if profile is None or WITH_LOG not in (entry.profile, profile.based_on):
        yield (), f"only devices of the profile {WITH_LOG} have a log that can be taken", "leave it out"
        return
    keys = [point.key for point in profile.points]
    if unknown := [key for key in entry.log.points if key not in keys]:
        yield ("points",), f"{unknown[0]} is no point of {entry.profile}", f"there are {', '.join(keys)}"
