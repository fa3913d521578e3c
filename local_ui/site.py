"""What the page needs of the appliance it is handed."""

from collections.abc import AsyncIterator
from typing import Protocol

from gateway.core.status import HistoryRow, SiteState


class Site(Protocol):
    """The running site."""

    def state(self) -> SiteState:
        """Everything, as it is now."""
        ...

    def changes(self) -> AsyncIterator[SiteState]:
        """First the whole state, then, as often as something changes, the devices that changed.

        Changes close together come as one; without any, it comes every few seconds with no device.
        """
        ...

    async def history(self, device: str, key: str, since_ms: int) -> list[HistoryRow]:
        """One point's values from `since_ms` on, oldest first. Raises KeyError for an unknown device or key."""
        ...
