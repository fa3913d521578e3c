"""What the page needs of the appliance it is handed."""

from collections.abc import AsyncIterator
from typing import Protocol

from gateway.core.status import Contact, HistoryRow, SiteState


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

    async def history(self, device: str, key: str, since_ms: int) -> list[HistoryRow]:
        """One point's values from `since_ms` on, oldest first. Raises KeyError for an unknown device or key."""
        ...

    async def contacts(self, device: str) -> list[Contact]:
        """The newest lines of a device's connection log, newest first. Raises KeyError for an unknown device."""
        ...
