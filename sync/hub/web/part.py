"""What the hub is put together of: each part brings routes of the API, pages, and chores."""

from collections.abc import Sequence
from typing import Any

from sync.hub.store.chores import Chore
from sync.hub.web.api import Route
from sync.hub.web.shell import Page


class Part:
    """One that brings nothing; parts say what they bring."""

    def routes(self) -> Sequence[Route[Any, Any]]:
        return ()

    def pages(self) -> Sequence[Page[Any]]:
        """The menu orders those that have a name in it: `sync.hub.web.shell.ENTRIES`."""
        return ()

    def chores(self) -> Sequence[Chore]:
        return ()
