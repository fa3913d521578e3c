"""A point as far as the invented house is concerned: what its key, read as words, says."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.model import Kind, Role

INPUTS = {1: 0.55, 2: 0.45}  # how the panels are split; further inputs are unused


@dataclass(frozen=True, slots=True)
class Meaning:
    """One point of a simulated device."""

    key: str
    quantity: str
    kind: Kind
    unit: str
    names: Mapping[int, str]
    device: str
    role: Role
    around: frozenset[str]  # the words of all keys of the device
    share: float  # of the panels, or of the load, that this device sees

    @property
    def words(self) -> frozenset[str]:
        return frozenset(self.key.split("_"))

    @property
    def input(self) -> int:
        """The number of the solar input, or of the battery; 0 where the key has none."""
        head = self.key.partition("_")[0]
        stem = head.rstrip("0123456789")
        return int(head[len(stem) :]) if stem in ("pv", "mppt", "battery", "meter") and head != stem else 0

    @property
    def two_way(self) -> bool:
        """Whether the device tells import from export."""
        return "import" in self.around

    @property
    def unused(self) -> bool:
        return self.input > (1 if self.key.startswith(("battery", "meter")) else len(INPUTS))
