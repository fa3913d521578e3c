"""What the page needs of the appliance it is handed."""

from collections.abc import AsyncIterator, Sequence
from datetime import tzinfo
from typing import Protocol

from gateway.core.status import Contact, EnergyRow, History, Resolution, SiteState, ThinnedRange


class Site(Protocol):
    """The running site."""

    def state(self) -> SiteState:
        """Everything, as it is now."""
        ...

    def changes(self) -> AsyncIterator[SiteState]:
        """First the whole state, then, as often as something changes, the devices that changed.

        Changes close together come as one; without any, it comes every few seconds with no device.
        The buses are not in it: they are looked at seldom, and counting them up costs something.
        """
        ...

    @property
    def zone(self) -> tzinfo:
        """The site's time zone."""
        ...

    async def history(
        self, device: str, key: str, since_ms: int, until_ms: int, resolution: Resolution | None = None
    ) -> History:
        """One point's values of since <= ts < until; without `resolution` the coarsest that fills a picture.

        Raises KeyError for an unknown device or key, StorageError.
        """
        ...

    async def energy(self, device: str, key: str, bounds_ms: Sequence[int]) -> tuple[EnergyRow, ...]:
        """What a counter counted between neighbouring `bounds_ms`, which rise and are whole minutes.

        Raises KeyError for an unknown device or counter, StorageError.
        """
        ...

    async def contacts(self, device: str) -> list[Contact]:
        """The newest lines of a device's connection log, newest first. Raises KeyError for an unknown device."""
        ...

    def thinned(self) -> list[ThinnedRange]:
        """The time that has lost resolution, oldest first, as of the last few minutes."""
        ...

    async def set_pace(self, commit_s: float | None) -> None:
        """Commit every so many seconds from now on; None: as the configuration says. Raises StorageError."""
        ...
