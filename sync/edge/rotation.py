"""The node goes over to another secret, and loses nothing: at every moment it has one that the hub takes.

1. A new secret is kept beside the old one. 2. The hub is told of it by the old one, and takes both. 3. The new one is
kept in the place of the old one. 4. It is used, and the hub forgets the old one. Whoever is killed in between begins
at 2 again, with either: the broker may know only the new one by then.
"""

import asyncio
import logging
from collections.abc import Callable
from secrets import token_hex
from typing import Protocol

import msgspec

from gateway.core.errors import PushError, StorageError
from sync import wire
from sync.edge.backoff import Backoff
from sync.edge.transport import BatchRefused, HubBusy, HubRefused, Transport
from sync.enrol import new_secret

log = logging.getLogger(__name__)


class Keys(Protocol):
    """Where the secrets are kept. All raise StorageError."""

    def proposed(self) -> str | None: ...
    def propose(self) -> str:
        """The secret to change to; on the disk when this returns."""
        ...

    def adopt(self, secret: str) -> None:
        """The new one in the place of the old one; on the disk when this returns."""
        ...

    def drop(self) -> None: ...


class Rotation:
    """`use` has the transport, and whoever else has one, sign in with another secret."""

    def __init__(
        self, secret: str, keys: Keys, transport: Transport, use: Callable[[str], None], backoff: Backoff
    ) -> None:
        self._secret = secret
        self._keys = keys
        self._transport = transport
        self._use = use
        self._backoff = backoff
        self._wanted = asyncio.Event()
        self._wanted.set()  # as where one was under way when the process before this one ended
        self._done: asyncio.Future[str] | None = None

    async def rotate(self) -> str:
        """Change the secret, however long that takes; gives what became of it, in words. Raises StorageError."""
        await asyncio.to_thread(self._keys.propose)
        if self._done is None:
            self._done = asyncio.get_running_loop().create_future()
        self._wanted.set()
        return await asyncio.shield(self._done)

    async def run(self) -> None:
        """Run until cancelled."""
        backoff = self._backoff
        while True:
            await self._wanted.wait()
            try:
                words = await self._change()
            except (PushError, StorageError) as error:
                if not backoff.failures:
                    log.warning("secret not changed yet", extra={"why": error.in_full})
                await asyncio.sleep(backoff.failed(refused=isinstance(error, HubRefused)))
                continue
            backoff.succeeded()
            self._wanted.clear()
            if words:
                log.info("secret changed", extra={"what": words})
            if self._done is not None:
                self._done.set_result(words or "there was nothing to change")
                self._done = None

    async def _change(self) -> str:
        """What became of it; empty where none is under way. Raises PushError, StorageError."""
        new = await asyncio.to_thread(self._keys.proposed)
        if new is None:
            return ""
        if new != self._secret:  # else we were killed before the last step
            try:
                await self._tell(new)
            except BatchRefused as error:
                await asyncio.to_thread(self._keys.drop)
                return f"the secret stays as it was: the hub refuses another one: {error}"
        await asyncio.to_thread(self._keys.adopt, new)
        self._secret = new
        self._use(new)
        return "the gateway has another secret"

    async def _tell(self, new: str) -> None:
        """Raises PushError."""
        try:
            await self._push(new)
        except (BatchRefused, HubBusy):
            raise
        except PushError:  # one way may know only the new one by now, and another be away
            self._use(new)
            try:
                await self._push(new)
            except PushError:
                self._use(self._secret)
                raise

    async def _push(self, new: str) -> None:
        cursor = wire.Cursor(token_hex(8), 0, 0)  # of no buffer
        await self._transport.push("secret", cursor, msgspec.msgpack.encode(new_secret(new)))
