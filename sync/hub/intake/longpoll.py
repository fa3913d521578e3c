"""GET /api/v1/commands: a node waits here for what the hub has to say."""

import asyncio
from typing import Protocol

from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.model import Command
from sync import wire
from sync.hub.intake.answering import RETRY_S, Answering
from sync.hub.intake.door import Refused
from sync.hub.intake.secrets import Secrets

WAIT_MAX_S = 120


class Commands(Protocol):
    """Where commands wait for their nodes."""

    async def waiting(self, node: str, wait_s: float) -> list[Command]:
        """Those for `node`, as soon as there are any; none after `wait_s` seconds. Raises StorageError."""
        ...


class LongPoll:
    """The handler, for the nodes that `secrets` knows."""

    def __init__(self, commands: Commands, secrets: Secrets, clock: Clock, retry_s: tuple[int, int] = RETRY_S) -> None:
        """`retry_s`: see `Answering`."""
        self._commands = commands
        self._answering = Answering(secrets, clock, retry_s=retry_s)
        self._newest: dict[str, asyncio.Timeout] = {}  # by node; each ends the one before it

    async def handle(self, request: web.Request) -> web.Response:
        """GET ?wait=S -> Answer, with the cursor of the request."""
        return await self._answering.to(request, self._take)

    async def _take(self, request: web.Request, node: str, cursor: str) -> wire.Answer:
        wait_s = _wait_s(request.query.get("wait", "0"))
        commands = await self._wait(node, wait_s)
        if wait_s:  # it may have been revoked meanwhile, by any process of the hub
            await self._answering.admitted(request)
        return wire.Answer(cursor, commands=commands)

    def dismiss(self, node: str) -> None:
        """End its wait, if it waits here."""
        if (poll := self._newest.get(node)) is not None:
            poll.reschedule(0)

    async def _wait(self, node: str, wait_s: int) -> list[Command]:
        """A node waits once: an older wait is of a connection that is gone, and would take its commands away."""
        if (before := self._newest.get(node)) is not None:
            before.reschedule(0)
        try:
            async with asyncio.timeout(None) as poll:
                self._newest[node] = poll
                return await self._commands.waiting(node, wait_s)
        except TimeoutError:
            return []
        finally:
            if self._newest[node] is poll:
                del self._newest[node]


def _wait_s(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) <= WAIT_MAX_S):
        raise Refused(400, f"wait: expected 0 to {WAIT_MAX_S} seconds; got {text[:80]!r}")
    return int(text)
