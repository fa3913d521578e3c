"""A recorded image of a device: it answers what was recorded and refuses the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from drivers.modbus.registers import Register, Table
from gateway.core.errors import ConfigError

Words = Mapping[int, int]
"""Address: what is there, 0 to 65535 in a register, 0 or 1 in a bit."""


@dataclass(frozen=True, slots=True)
class Image:
    """The same answer at any time."""

    unit_id: int
    tables: Mapping[Table, Words] = field(default_factory=dict)

    def read(self, table: Table, address: int, count: int, now_s: float) -> list[int] | None:
        del now_s  # a recording does not age
        words = self.tables.get(table, {})
        wanted = range(address, address + count)
        return [words[at] for at in wanted] if all(at in words for at in wanted) else None


class ImageFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image as JSON: `tables` holds runs of words, each under the address of its first."""

    device: str
    source: str
    licence: str
    note: str = ""
    unit_id: int
    tables: dict[Table, dict[Register, list[Register]]]


def load_image(path: Path) -> Image:
    """Raises ConfigError for a file that is not there or not an image."""
    try:
        recorded = msgspec.json.decode(path.read_bytes(), type=ImageFile)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: not an image of a device: {error}") from error
    return Image(recorded.unit_id, {table: unrolled(runs) for table, runs in recorded.tables.items()})


def unrolled(runs: Mapping[int, list[int]]) -> Words:
    """Runs of words by the address of their first word, as words by address."""
    return {first + index: word for first, run in runs.items() for index, word in enumerate(run)}
