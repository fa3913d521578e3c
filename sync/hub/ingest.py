"""POST /api/v1/ingest: a node's batch over HTTP."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from gateway.core import credential
from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from sync import wire
from sync.hub.door import Door, Refused


class Ingest:
    """The handler; `secrets` has the SHA-256 of each node's secret by node id."""

    def __init__(self, door: Door, secrets: Mapping[str, str], clock: Clock) -> None:
        self._door = door
        self._secrets = secrets
        self._clock = clock

    async def handle(self, request: web.Request) -> web.Response:
        response = await self._handle(request)
        response.headers[wire.HUB_TIME] = str(self._clock.wall_ms())
        return response

    async def _handle(self, request: web.Request) -> web.Response:
        node = request.headers.get(wire.NODE_ID, "")
        if not credential.matches(request.headers.get(wire.NODE_SECRET, ""), self._secrets.get(node)):
            return _answer(401, wire.Answer(cursor="", error="unknown node or wrong secret"))
        cursor_text = request.headers.get(wire.CURSOR, "")[:80]
        batch_type = request.headers.get(wire.BATCH_TYPE, "")[:20]
        try:
            return _answer(200, await self._door.take(node, batch_type, cursor_text, await _body(request)))
        except Refused as refused:
            return _answer(refused.status, wire.Answer(cursor_text, wanted=refused.wanted, error=str(refused)))
        except StorageError as error:
            return _answer(503, wire.Answer(cursor_text, error=f"the hub cannot store just now: {error}"))


async def _body(request: web.Request) -> bytes:
    """Raises Refused for a body beyond the application's limit, before it is read to its end."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(413, f"a body of more than {wire.BODY_MAX} bytes") from error


def _answer(status: int, answer: wire.Answer) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")
