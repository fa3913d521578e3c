"""What all doors for nodes have in common over HTTP: who is there, and the form of the answer."""

import logging
from collections.abc import Awaitable, Callable
from random import Random

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from gateway.core.ration import Ration
from sync import wire
from sync.hub.intake.door import Refused
from sync.hub.intake.secrets import Secrets, admits

log = logging.getLogger(__name__)
RETRY_S = (5, 60)  # who is turned away comes again after so long, each at another time

Take = Callable[[web.Request, str, str], Awaitable[wire.Answer]]
"""Takes the request, its node and its cursor. Raises Refused, StorageError."""


class Answering:
    """Lets in the nodes that `secrets` knows."""

    def __init__(
        self, secrets: Secrets, clock: Clock, random: Random | None = None, retry_s: tuple[int, int] = RETRY_S
    ) -> None:
        """`retry_s`: who is turned away is asked to come again after as many seconds, from least to most."""
        self._secrets = secrets
        self._clock = clock
        self._random = random or Random()
        self._retry_s = retry_s
        self._ration, self._outages = Ration(clock), Ration(clock)

    async def to(self, request: web.Request, take: Take) -> web.Response:
        """What `take` answers to a node that has a secret of ours, or why it does not."""
        cursor = ""
        try:
            node = await self.admitted(request)
            cursor = plain_header(request, wire.CURSOR)[:80]
            return self._response(200, await take(request, node, cursor))
        except Refused as refused:
            return self._refusal(request, refused, cursor)
        except StorageError as error:
            return self._response(503, wire.Answer(cursor, error=self.store_fails(error)))

    async def admitted(self, request: web.Request) -> str:
        """The id of the node that asks. Raises StorageError, and Refused: for a node that is not there in the same
        time and words."""
        node = request.headers.get(wire.NODE_ID, "")
        if not await admits(self._secrets, node, request.headers.get(wire.NODE_SECRET, "")):
            raise Refused(401, "unknown node or wrong secret")
        return node

    def store_fails(self, error: StorageError) -> str:
        """What anybody may be told, also who was not let in yet; why is for the log."""
        if (suppressed := self._outages.spend()) is not None:
            log.warning("the store fails", extra={"why": error.in_full, "suppressed": suppressed})
        return "the hub cannot store just now"

    def _refusal(self, request: web.Request, refused: Refused, cursor: str) -> web.Response:
        """The answer to what was not taken; the log tells of it, but not of each."""
        if not refused.wanted and (suppressed := self._ration.spend()) is not None:
            node = request.headers.get(wire.NODE_ID, "")[:64]
            facts = {"node": node, "status": refused.status, "why": str(refused), "suppressed": suppressed}
            log.warning("node turned away", extra=facts)
        return self._response(refused.status, wire.Answer(cursor, wanted=refused.wanted, error=str(refused)))

    def _response(self, status: int, answer: wire.Answer) -> web.Response:
        """`answer`, with the hub's time, and with a time to come again where it is to be sent again."""
        headers = {wire.HUB_TIME: str(self._clock.wall_ms()), "Cache-Control": "no-store"}
        if status in (429, 503):
            headers["Retry-After"] = str(self._random.randint(*self._retry_s))
        body = msgspec.json.encode(answer)
        return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def plain_header(request: web.Request, name: str) -> str:
    """Of a header that is kept and told. Raises Refused where it is no ASCII: it may not even be text."""
    text = request.headers.get(name, "")
    if not text.isascii():
        raise Refused(400, f"{name}: expected ASCII")
    return text
