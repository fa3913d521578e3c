"""GET /api/v1/commands: a node waits here for what the hub has to say."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.model import Command
from sync import wire
from sync.hub.answering import Answering
from sync.hub.door import Refused

WAIT_MAX_S = 120
AT_ONCE = 3  # of one node: it asks one at a time, but what a broken connection has left waits to its end


class Commands(Protocol):
    """Where commands wait for their nodes."""

    async def waiting(self, node: str, wait_s: float) -> list[Command]:
        """Those for `node`, as soon as there are any; none after `wait_s` seconds. Raises StorageError."""
        ...


class LongPoll:
    """The handler; `secrets` has the SHA-256 of each node's secret by node id."""

    def __init__(self, commands: Commands, secrets: Mapping[str, str], clock: Clock) -> None:
        self._commands = commands
        self._answering = Answering(secrets, clock)
        self._waiting: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.Response:
        """GET ?wait=S -> Answer, with the cursor of the request."""
        return await self._answering.to(request, self._take)

    async def _take(self, request: web.Request, node: str, cursor: str) -> wire.Answer:
        wait_s = _wait_s(request.query.get("wait", "0"))
        return wire.Answer(cursor, commands=await self._wait(node, wait_s))

    async def _wait(self, node: str, wait_s: int) -> list[Command]:
        if self._waiting[node] >= AT_ONCE:
            raise Refused(429, f"the node waits here {AT_ONCE} times already")
        self._waiting[node] += 1
        try:
            return await self._commands.waiting(node, wait_s)
        finally:
            self._waiting[node] -= 1


def _wait_s(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) <= WAIT_MAX_S):
        raise Refused(400, f"wait: expected 0 to {WAIT_MAX_S} seconds; got {text[:80]!r}")
    return int(text)
