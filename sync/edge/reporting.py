"""The hub gets the configuration in effect when it asks for it, and not before."""

import asyncio
import contextlib
import logging

from gateway.core.errors import StorageError
from gateway.core.span import Span
from sync.edge.link import Link
from sync.edge.transport import BatchRefused, BatchTooLarge
from sync.wire import Answer, Configuration

log = logging.getLogger(__name__)


class Reporting:
    """Hears whether the hub wants `configuration`."""

    def __init__(self, link: Link, configuration: Configuration) -> None:
        self._link = link
        self._configuration = configuration
        self._asked = asyncio.Event()
        self._sent = 0

    async def heard(self, answer: Answer) -> None:
        if answer.configuration_wanted:
            self._asked.set()

    async def run(self) -> None:
        """Run until cancelled, or until the hub refuses it for good."""
        backoff = self._link.backoff()
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._sent += 1
            at = Span(self._sent, self._sent)
            try:
                if not await self._link.attempt(backoff, self._push(at)):
                    self._asked.set()
            except _NeverTaken:
                return

    async def _push(self, at: Span) -> None:
        """Raises PushError, and _NeverTaken where it is of no use to try again."""
        try:
            with contextlib.suppress(StorageError):  # of what else came with the answer
                await self._link.push("config", at, self._configuration)
        except (BatchRefused, BatchTooLarge) as refused:
            log.warning("the hub does not take the configuration's report", extra={"why": str(refused)})
            raise _NeverTaken from refused


class _NeverTaken(Exception):
    pass
