"""Scanning a serial line: setting after setting, first the usual units, then all of them where something answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from drivers.bus.channel import lasting_name
from drivers.bus.tap import TappedChannel
from drivers.modbus.links import Place, link_to
from drivers.modbus.profile import Link as Wants
from drivers.modbus.profile import Profile
from drivers.scan.found import Found, Watcher
from drivers.scan.hearing import Hearing
from drivers.scan.identify import identify
from drivers.scan.probe import LINE_UNITS, PROBES, USUAL_LINE_UNITS, Probes, present
from gateway.core.errors import DeviceError

BAUDS = (9600, 19200, 115200, 38400, 2400, 4800)  # the likely ones first
PARITIES = (("none", 1), ("even", 1), ("none", 2))  # with their stop bits
TIMEOUT_S = 0.1  # for the first character of an answer; the rest is reckoned from the rate
HEARD = "was heard, but does not answer us"
PATIENT_S = 1.0  # for who is known to be there


@dataclass(frozen=True, slots=True)
class Setting:
    """How characters are sent."""

    baud: int
    parity: str
    stop_bits: int

    def __str__(self) -> str:
        return f"{self.baud} baud, parity {self.parity}, {self.stop_bits} stop bit{'s' * (self.stop_bits > 1)}"


SETTINGS = tuple(Setting(baud, *parity) for baud in BAUDS for parity in PARITIES)


class LineScan:
    """One pass over a serial port's settings; `devices` holds what was found until now.

    `units`: ask these and no others. `full`: all units at all settings, even after devices were found.
    """

    def __init__(
        self, port: str, profiles: Mapping[str, Profile], watcher: Watcher, *,
        settings: tuple[Setting, ...] = SETTINGS, units: Sequence[int] = (), full: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:  # fmt: skip
        self.devices: list[Found] = []
        self._port = lasting_name(port) or port
        self._profiles = profiles
        self._watcher = watcher
        self._settings = settings
        self._full = full
        self._timeout_s = timeout_s
        self._done = 0
        self._first = tuple(units or USUAL_LINE_UNITS)
        self._rest = () if units else tuple(unit_id for unit_id in LINE_UNITS if unit_id not in USUAL_LINE_UNITS)
        self._total = len(settings) * (len(self._first) * len(PROBES) + (len(self._rest) if full else 0))

    async def run(self) -> None:
        """A setting that the port does not take is passed over. Raises DeviceError where it cannot be opened."""
        for index, setting in enumerate(self._settings):
            try:
                await self._at(setting)
            except DeviceError as error:
                if not index:  # the port has not been opened yet
                    raise
                self._watcher.hint(f"at {setting}: {error}")
            if self.devices and not self._full:
                return
            if not self._full:  # units that answered early were not asked all there is
                self._done = (index + 1) * len(self._first) * len(PROBES)

    async def _at(self, setting: Setting) -> None:
        place = Place(serial=self._port, baud=setting.baud, parity=setting.parity, stop_bits=setting.stop_bits)
        hearing = Hearing()
        link = link_to(TappedChannel(place.channel(), hearing), rtu=True, wants=Wants())
        answered: set[int] = set()

        async def ask(units: Iterable[int], probes: Probes, timeout_s: float, asked: Callable[[], None]) -> None:
            async for unit_id, sign in present(link, units, timeout_s=timeout_s, probes=probes, asked=asked):
                answered.add(unit_id)
                identity = await identify(link, unit_id, self._profiles, timeout_s=PATIENT_S)
                self._keep(Found(place, unit_id, str(sign), identity))

        try:
            await ask(self._first, PROBES, self._timeout_s, self._asked)
            if answered or hearing.units or self._full:
                self._total += 0 if self._full else len(self._rest)
                await ask(self._rest, PROBES[:1], self._timeout_s, self._asked)
            await ask(sorted(hearing.units - answered), PROBES[:1], PATIENT_S, lambda: None)  # it answered, but late
        finally:
            await link.close()
        self._tell(place, setting, hearing, answered)

    def _asked(self) -> None:
        self._done += 1
        self._watcher.step(self._done, self._total)

    def _tell(self, place: Place, setting: Setting, hearing: Hearing, answered: set[int]) -> None:
        for unit_id in sorted(hearing.units - answered):
            self._keep(Found(place, unit_id, HEARD, note="another master may be on the line"))
        if hearing.is_noise and not answered:
            self._watcher.hint(f"at {setting} something talks, but not at this rate or parity")

    def _keep(self, device: Found) -> None:
        self.devices.append(device)
        self._watcher.found(device)
