"""Which units of a bus are there: harmless reads, one after the other, until each has answered or fallen silent."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from drivers.modbus.device import DEAD_BEHIND_GATEWAY
from drivers.modbus.links import OpenLink
from drivers.modbus.requests import Read
from gateway.core.errors import ConfigError, DeviceError

Probes = Sequence[tuple[int, int]]
"""Reads of one register: function and address."""

# A real device answers any of them, if only with an exception; these are where the usual ones hold something.
PROBES: Probes = ((4, 0), (3, 40000), (3, 35000), (3, 30000))
USUAL_UNITS = (1, 2, 3, 100, 126, 127, 200, 240, 247, 255, 0)  # over TCP; 247 and 127 are GoodWe's
USUAL_LINE_UNITS = (1, 2, 3, 4, 5, 10, 11, 100, 126, 127, 200, 240, 247)
LINE_UNITS = range(1, 248)  # never 0, which is for all at once, nor 0xF8, to which each PZEM answers


@dataclass(frozen=True, slots=True, order=True)
class Sign:
    """How a unit showed that it is there."""

    function: int
    address: int
    exception: int = 0

    def __str__(self) -> str:
        said = f"exception {self.exception} to " if self.exception else ""
        return f"answers {said}FC{self.function} at {self.address}"


async def present(
    link: OpenLink,
    units: Iterable[int],
    *,
    timeout_s: float,
    probes: Probes = PROBES,
    asked: Callable[[], None] = lambda: None,
) -> AsyncIterator[tuple[int, Sign]]:
    """The units that answer, and how, each as soon as it does. `asked` is called after each question.

    A gateway that says that the device behind it does not answer is believed. Raises DeviceError
    where the bus cannot be opened at all.
    """
    silent = list(units)
    for function, address in probes:
        left = []
        for unit_id in silent:
            try:
                reply = await link.ask(Read(unit_id, function, address, 1), timeout_s)
            except DeviceError:
                if not link.statistics.connects:
                    raise
                left.append(unit_id)
            else:
                if reply.exception not in DEAD_BEHIND_GATEWAY:
                    yield unit_id, Sign(function, address, reply.exception)
            asked()
        silent = left


def parse_units(text: str) -> tuple[int, ...]:
    """`1,5-9,247` as numbers, each once. Raises ConfigError."""
    units: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,3})(?:-(\d{1,3}))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last <= 255:
            raise ConfigError(f"--units: {part.strip() or text}: expected unit ids from 0 to 255, as in 1,5-9,247")
        units |= dict.fromkeys(range(first, last + 1))
    return tuple(units)
