"""POST /api/v1/ingest: a node's batch over HTTP, as MessagePack or as JSON."""

import asyncio
from random import Random

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.errors import TooLargeError
from sync import wire
from sync.hub.intake.answering import Answering, plain_header
from sync.hub.intake.door import Refused, Takes
from sync.hub.intake.jsonbatch import batch_of
from sync.hub.intake.receiving import ROOM, Receiving, Room
from sync.hub.intake.secrets import Secrets

JSON = "application/json"
NO_EPOCH = "0" * 16  # of JSON that comes without a cursor


class Ingest:
    """The handler, for the nodes that `secrets` knows."""

    def __init__(
        self, door: Takes, secrets: Secrets, clock: Clock, random: Random | None = None, room: Room = ROOM
    ) -> None:
        self._door = door
        self._answering = Answering(secrets, clock, random)
        self._receiving = Receiving(room)

    async def handle(self, request: web.Request) -> web.Response:
        """-> Answer; see sync/wire.py."""
        return await self._answering.to(request, self._take)

    async def _take(self, request: web.Request, node: str, cursor: str) -> wire.Answer:
        kind, is_json = plain_header(request, wire.BATCH_TYPE), request.content_type == JSON
        async with self._receiving.body(request) as body:
            if not is_json and not (kind or cursor):
                raise Refused(400, f"expected Content-Type: {JSON}, or {wire.BATCH_TYPE} and {wire.CURSOR}")
            if not is_json:
                return await self._door.take(node, kind, cursor, body)
            if kind not in ("", "records"):
                raise Refused(400, f"{wire.BATCH_TYPE}: of JSON only records are taken; got {kind!r}")
            return await self._take_json(node, cursor, body)

    async def _take_json(self, node: str, cursor: str, body: bytes) -> wire.Answer:
        """Through the same door, after the layouts that it does not know yet."""
        try:
            records, layouts, count = await asyncio.to_thread(batch_of, body)
        except TooLargeError as error:
            raise Refused(413, str(error)) from error
        except ValueError as error:
            raise Refused(400, str(error)) from error
        cursor = cursor or f"{NO_EPOCH}:0-{count}"
        packed = msgspec.msgpack.encode(records)
        try:
            return await self._door.take(node, "records", cursor, packed)
        except Refused as refused:
            if not refused.wanted:
                raise
        await self._door.take(node, "layouts", cursor, msgspec.msgpack.encode(layouts))
        return await self._door.take(node, "records", cursor, packed)
