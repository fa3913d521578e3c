"""What becomes of a node's commands, as it happens: one command, a stream of them, and the page.

While somebody listens the store is looked at every second, once for all who listen to the same node: so it does not
matter which of the hub's processes took the node's word.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.core import wording
from gateway.core.clock import Clock
from sync.hub.store.commandstore import CommandStore, Ordered
from sync.hub.web.api import NOT_THERE, ApiError, Call, Nothing, Route
from sync.hub.web.rights import Role
from sync.hub.web.shell import NoQuery, Page
from sync.hub.web.sse import Streams

ONE, STREAM = "/api/v1/nodes/{node}/commands/{id}", "/api/v1/nodes/{node}/commands/stream"
NEWEST = 50  # commands that a stream tells of
FRESH_S = 0.4  # so long what one listener read is good for the others
FORGET_S = 60.0


class Course:
    """All methods raise StorageError."""

    def __init__(self, store: CommandStore, streams: Streams, clock: Clock) -> None:
        self._store = store
        self._streams = streams
        self._clock = clock
        self._seen: dict[str, tuple[float, list[Ordered]]] = {}  # by node: when it was looked, monotonic, and what
        self._looking: dict[str, asyncio.Lock] = {}

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path=STREAM, summary=f"The newest {NEWEST} commands, then those that change",
                right=Role.VIEWER, handle=self._stream, query=Nothing, body=Nothing, answer=list[Ordered],
                media="text/event-stream",
            ),
            Route(
                method="GET", path=ONE, summary="A command, and what became of it", right=Role.VIEWER,
                handle=self._one, query=Nothing, body=Nothing, answer=Ordered,
            ),
        )  # fmt: skip

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(
                path="/nodes/{node}/commands", template="commands.html", right=Role.VIEWER,
                view=self._view, query=NoQuery, under="/",
            ),
        )  # fmt: skip

    async def _one(self, call: Call[Nothing, Nothing]) -> Ordered:
        await self._store.queued(call.path["node"], call.now, 1)  # what is too late says so
        found = await self._store.ordered(call.path["id"])
        if found is None or found[0] != call.path["node"]:
            raise ApiError(*NOT_THERE)
        return found[1]

    async def _view(self, call: Call[NoQuery, Nothing]) -> dict[str, Any]:
        node = call.path["node"]
        commands = [command_view(one) for one in await self._newest(node)]
        return {"node": node, "commands": commands, "may": call.caller.may(Role.OPERATOR, call.place)}

    async def _stream(self, call: Call[Nothing, Nothing]) -> web.StreamResponse:
        node, told = call.path["node"], dict[str, Ordered]()

        async def look() -> list[Ordered] | None:
            fresh = [one for one in reversed(await self._newest(node)) if told.get(one.command.id) != one]
            told.update({one.command.id: one for one in fresh})
            return fresh or None

        return await self._streams.send(call, look)

    async def _newest(self, node: str) -> list[Ordered]:
        """The newest commands, newest first, as they were a moment ago; those who ask together ask once."""
        async with self._looking.setdefault(node, asyncio.Lock()):
            at_s, found = self._seen.get(node, (-1e9, []))
            if self._clock.monotonic_s() < at_s + FRESH_S:
                return found
            await self._store.queued(node, self._clock.wall_ms(), 1)  # what is too late says so
            found = await self._store.commands(node, NEWEST)
            self._forget()
            self._seen[node] = self._clock.monotonic_s(), found
        return found

    def _forget(self) -> None:
        """Nodes that nobody looks at any more."""
        old_s = self._clock.monotonic_s() - FORGET_S
        for node in [node for node, (at_s, _) in self._seen.items() if at_s < old_s]:
            del self._seen[node]
            if not self._looking[node].locked():
                del self._looking[node]


def command_view(one: Ordered) -> dict[str, Any]:
    """As the page shows it before its script goes on; pure."""
    steps = [("queued", one.created), ("taken", one.taken)]
    if one.state not in ("queued", "taken"):
        steps.append((one.state, one.changed))
    return {
        "id": one.command.id, "kind": one.command.kind, "who": one.command.who, "reason": one.command.reason,
        "state": one.state, "words": one.words,
        "steps": [f"{name} {wording.utc_text(at, '%H:%M:%S')}" for name, at in steps if at is not None],
        "day": wording.utc_text(one.created, "%Y-%m-%d"),
    }  # fmt: skip
