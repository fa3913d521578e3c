"""POST /api/v1/carry: a file of batches that somebody brought, taken through the same door as all batches.

The file is proved whole before anything of it is taken; then what is here already is a duplicate. The answer is the
receipt, which the node understands. Nobody needs to sign in for it: the node has signed the file. What a browser sends
that is signed in must come from a page of ours.
"""

import asyncio
import io
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import IO

import msgspec
from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from gateway.core.clock import Clock
from gateway.core.errors import CodecError, StorageError
from gateway.core.ration import Ration
from sync import carry
from sync.hub.intake.door import Refused, Takes
from sync.hub.intake.secrets import Secrets
from sync.hub.web.api import ApiError, Refusal, SignIn, json_response

log = logging.getLogger(__name__)
FILE_MAX = 4 << 30  # bytes
CHUNK = 1 << 18
PATIENCE_S = 60  # for each chunk
LEAST_BYTES_S = 16 * 1024  # on the way in, once it is this file's turn: others wait for it


class CarryIn:
    """Takes the files of the nodes that `secrets` knows."""

    def __init__(self, door: Takes, secrets: Secrets, clock: Clock, sign_in: SignIn | None = None) -> None:
        self._sign_in = sign_in
        self._door = door
        self._secrets = secrets
        self._clock = clock
        self._outages = Ration(clock)
        self._one = asyncio.Lock()  # file at a time: what they take of the disk is bounded

    async def take(self, file: IO[bytes]) -> tuple[bytes, list[str]]:
        """The receipt, and why some batches were not taken. Raises CodecError for what is no whole file of a node that
        the hub knows, and then nothing of it was taken; StorageError."""
        opening = carry.opening(file)
        key = await self._key(file, opening.node)
        await asyncio.to_thread(lambda: sum(1 for _ in carry.read(file, key, "batches")))  # to its end
        made = io.BytesIO()
        receipt = carry.Writer(made, key, carry.Opening("receipt", opening.node, opening.epoch, self._clock.wall_ms()))
        refused: list[str] = []
        for batch in carry.read(file, key, "batches"):
            if not await self._secrets.of(opening.node):
                refused.append(f"{batch.type} {batch.cursor}: the node was revoked")
                continue
            try:
                answer = await self._door.take(opening.node, batch.type, batch.cursor, batch.body)
            except Refused as why:
                refused.append(f"{batch.type} {batch.cursor}: {why}")
            else:
                receipt.batch(carry.Batch(batch.type, batch.cursor, msgspec.json.encode(answer)))
        receipt.end()
        return made.getvalue(), refused

    async def _key(self, file: IO[bytes], node: str) -> bytes:
        """That of the node's secrets with which it signed the file's opening, or else of the newest."""
        good = await self._secrets.of(node)
        if not good:
            raise CodecError(
                f"{node[:64]!r} is no node of this hub", hint="enrol it, or name it under nodes: in hub.yaml"
            )
        keys = [carry.key_of(sha256) for sha256 in good]
        return next((key for key in keys if carry.is_opened_by(file, key)), keys[0])

    async def handle(self, request: web.Request) -> web.Response:
        """The file is the body, or the first field of a form. Answers with the receipt, or {"error": words}."""
        try:
            if self._sign_in is not None:
                await self._sign_in.caller(request)
        except ApiError as error:
            return _error(error.status, str(error))
        except StorageError as error:
            return _error(503, self._fails(error))
        return await self._received(request)

    def _fails(self, error: StorageError | OSError) -> str:
        if (suppressed := self._outages.spend()) is not None:
            why = error.in_full if isinstance(error, StorageError) else str(error)
            log.warning("a file could not be stored", extra={"why": why, "suppressed": suppressed})
        return "the hub cannot store just now"

    async def _received(self, request: web.Request) -> web.Response:
        with tempfile.TemporaryFile() as file:
            async with AsyncExitStack() as stack:
                try:
                    await self._spool(await _chunks(request), file, stack)
                    receipt, refused = await self.take(file)
                except PermissionError as error:
                    return _error(401, str(error))
                except OverflowError:
                    return _error(413, f"more than {FILE_MAX} bytes")
                except (CodecError, ValueError) as error:  # the latter: aiohttp's, about a form
                    words = error.in_full if isinstance(error, CodecError) else error
                    return _error(400, f"nothing of it was taken: {words}")
                except TimeoutError:
                    return _error(408, "nothing of it was taken: the rest of the file did not come")
                except (StorageError, OSError) as error:
                    return _error(503, self._fails(error))
        name = f"{carry.opening(io.BytesIO(receipt)).node}.receipt"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Refused": str(len(refused))}
        return web.Response(body=receipt, content_type="application/octet-stream", headers=headers)

    async def _spool(self, chunks: AsyncIterator[bytes], file: IO[bytes], stack: AsyncExitStack) -> None:
        """Raises PermissionError, before much is taken, for a file that no node of ours has signed; OverflowError;
        TimeoutError for one that does not come, or hardly.

        Only then it is this file's turn, until `stack` ends: strangers hold nobody up.
        """
        size, proved, turn_s = 0, False, float("inf")
        while True:
            async with asyncio.timeout(PATIENCE_S):
                chunk = await anext(chunks, b"")
            if self._clock.monotonic_s() - turn_s > PATIENCE_S + size / LEAST_BYTES_S:
                raise TimeoutError
            size += len(chunk)
            if size > FILE_MAX:
                raise OverflowError
            await asyncio.to_thread(file.write, chunk)
            if not proved and (size > 2 * carry.OPENING_MAX or not chunk):
                proved = await self._prove(file)
                await stack.enter_async_context(self._one)
                turn_s = self._clock.monotonic_s()
            if not chunk:
                return

    async def _prove(self, file: IO[bytes]) -> bool:
        good = await self._secrets.of(carry.opening(file).node)
        if not [sha256 for sha256 in good or ("0" * 64,) if carry.is_opened_by(file, carry.key_of(sha256))] or not good:
            raise PermissionError("no node of this hub has signed this file")
        file.seek(0, io.SEEK_END)
        return True


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    if not request.content_type.startswith("multipart/"):
        return aiter(request.content.iter_chunked(CHUNK))
    try:
        async with asyncio.timeout(PATIENCE_S):
            field = await (await request.multipart()).next()
    except HttpProcessingError as error:
        raise CodecError(f"not a form as it should be: {error.message}") from error
    if not isinstance(field, BodyPartReader):
        raise CodecError("a form without a file")
    return _of_field(field)


async def _of_field(field: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await field.read_chunk(CHUNK):
        yield chunk


def _error(status: int, words: str) -> web.Response:
    return json_response(status, Refusal(words))
