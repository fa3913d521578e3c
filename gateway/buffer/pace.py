"""How often the buffer commits: as the configuration says, or as somebody chose on the page."""

import asyncio
import contextlib

from gateway.core.database import Database

CHOSEN = "SELECT value FROM meta WHERE key = 'commit_s'"
CHOOSE = "INSERT OR REPLACE INTO meta (key, value) VALUES ('commit_s', ?)"
FORGET = "DELETE FROM meta WHERE key = 'commit_s'"


class Pace:
    """Seconds between commits; what was chosen survives restarts."""

    def __init__(self, database: Database, configured_s: float) -> None:
        self.configured_s = configured_s
        self.commit_s = configured_s
        self._database = database
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Raises StorageError."""
        for (chosen,) in await self._database.fetch(CHOSEN):
            with contextlib.suppress(ValueError):  # a spoilt row must not keep the file closed
                self.commit_s = float(chosen)

    async def choose(self, commit_s: float | None) -> None:
        """From now on; None: as the configuration says. Raises StorageError."""
        async with self._database.transaction() as db:
            await (db.execute(FORGET) if commit_s is None else db.execute(CHOOSE, (str(commit_s),)))
        self.commit_s = self.configured_s if commit_s is None else commit_s
        self._changed.set()

    def hurry(self) -> None:
        """The next commit is due now: much has come."""
        self._changed.set()

    async def pause(self, less_s: float) -> None:
        """Until the next commit is due, `less_s` of the time having passed; a change ends it."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(
                0.9 * self.commit_s - less_s
            ):  # a little short: the next burst must find it waiting
                await self._changed.wait()
