"""What a scan finds, and whom it tells."""

from dataclasses import dataclass
from typing import Protocol

from drivers.modbus.links import Place


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says that it is; empty where it does not say."""

    profile: str = ""  # of ours
    make: str = ""
    model: str = ""
    serial: str = ""
    others: tuple[str, ...] = ()  # profiles that fit as well, but say less

    def __str__(self) -> str:
        return " ".join(part for part in (self.make, self.model, self.serial and f"no. {self.serial}") if part)


@dataclass(frozen=True, slots=True)
class Found:
    """One device that answered."""

    place: Place
    unit_id: int
    answers: str  # to which questions
    identity: Identity = Identity()
    note: str = ""

    @property
    def what(self) -> str:
        """In words, for a person."""
        if not self.identity.profile:
            said = f" ({self.identity})" if str(self.identity) else ""
            return f"unknown: {self.answers}{said}"
        return f"{self.identity}"


class Watcher(Protocol):
    """Is told how far a scan is, and each device as soon as it is found."""

    def step(self, done: int, total: int) -> None:
        """`total` may grow while the scan runs."""
        ...

    def found(self, device: Found) -> None: ...
    def hint(self, text: str) -> None:
        """Something that is no device, but worth a look."""
        ...
