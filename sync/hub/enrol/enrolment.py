"""POST /api/v1/enrol: a gateway with a claim code becomes a node; and a node goes over to another secret.

The broker is made ready first and the node is entered last: what fails on the way leaves a code that is still good.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.errors import HoldfastError, StorageError
from sync import wire
from sync.enrol import BrokerAddress, Enrol, Enrolled, NewSecret
from sync.hub.enrol.claims import Claims, Held
from sync.hub.enrol.registry import Registry
from sync.hub.enrol.tries import Tries
from sync.hub.enrol.unasked import Watches
from sync.hub.people.addresses import household
from sync.hub.web.api import ApiError, Refusal, json_response

log = logging.getLogger(__name__)
BODY_MAX = 16 * 1024
PATIENCE_S = 20
WRONG = 403, "the code is wrong, was used already, or has expired"


class NodesAtBroker(Protocol):
    """The broker's users that nodes are. All methods raise HoldfastError, and may be done again."""

    @property
    def address(self) -> BrokerAddress: ...
    async def admit(self, node: str, password_hash: str, *, is_new: bool) -> None:
        """All that the node needs; who used its name before is out."""
        ...

    async def change(self, node: str, password_hash: str) -> None:
        """Another password, from its next connection on."""
        ...

    async def shut_out(self, node: str) -> None:
        """Now; what it has sent stays."""
        ...

    async def let_in(self, node: str) -> None:
        """With the password that it had."""
        ...


class Enrolment:
    """`broker`: None where the hub has none that it may administer."""

    def __init__(
        self, claims: Claims, registry: Registry, broker: NodesAtBroker | None, clock: Clock,
        address: Callable[[web.Request], str], watch: Watches,
    ) -> None:  # fmt: skip
        """`address`: where a request comes from."""
        self._watch = watch
        self._claims = claims
        self._registry = registry
        self._broker = broker
        self._clock = clock
        self._address = address
        self._tries = Tries(clock)

    async def handle(self, request: web.Request) -> web.Response:
        """See sync/enrol.py."""
        address = self._address(request)
        sender = household(address)
        try:
            if not self._tries.allowed(sender):
                raise ApiError(429, "too many wrong codes came; try again in a minute")
            return json_response(200, await self._enrol(await _read(request), address))
        except ApiError as error:
            if error.status == WRONG[0]:
                self._tries.failed(sender)
            response = json_response(error.status, Refusal(str(error)))
        except HoldfastError as error:  # the store's, or the broker's
            what = "store" if isinstance(error, StorageError) else "broker"
            log.warning("enrolment failed", extra={"from": address, "why": error.in_full})
            words = f"the hub's {what} fails just now; nothing was changed, and the code is still good: try again"
            response = json_response(503, Refusal(words))
        response.headers[wire.HUB_TIME] = str(self._clock.wall_ms())
        if response.status in (429, 503):
            response.headers["Retry-After"] = "60"
        return response

    async def _enrol(self, asked: Enrol, address: str) -> Enrolled:
        """Raises ApiError, StorageError, HoldfastError."""
        held = await self._claims.hold(asked.code, asked.secret_sha256, self._clock.wall_ms())
        if held is None:
            raise ApiError(*WRONG)
        if not held.used:
            await self._enter(asked, held, address)
        return Enrolled(held.node, held.site, self._clock.wall_ms(), self._broker.address if self._broker else None)

    async def _enter(self, asked: Enrol, held: Held, address: str) -> None:
        now = self._clock.wall_ms()
        try:
            if not held.replaces and await self._registry.knows(held.node):
                raise ApiError(409, "another gateway has come in under this node id; ask for another code")
            if self._broker is not None:
                await self._broker.admit(held.node, asked.broker_hash, is_new=not held.replaces)
        except (ApiError, HoldfastError):
            await self._claims.let_go(asked.code, asked.secret_sha256)
            raise
        hardware = msgspec.json.encode({
            "serial": asked.serial, "mac": asked.mac, "ssh_public_key": asked.ssh_public_key,
            "version": asked.version, "address": address, "at": now,
        })  # fmt: skip
        if not await self._claims.use(asked.code, held, asked.secret_sha256, hardware, now):
            raise ApiError(409, "another gateway has come in under this node id; ask for another code")
        facts = {"node": held.node, "site": held.site, "serial": asked.serial, "from": address}
        log.info("node replaced" if held.replaces else "node enrolled", extra=facts)

    async def take_secret(self, node: str, cursor: wire.Cursor, body: bytes) -> wire.Answer:
        """See `sync.hub.intake.door.Handler`: a batch of the type secret."""
        new = msgspec.msgpack.decode(body, type=NewSecret)
        if not await self._registry.holds(node, new.sha256):  # else it comes again
            await self._watch.changes(node)
        await self._registry.renew(node, new.sha256)
        if self._broker is not None:
            try:
                await self._broker.change(node, new.broker_hash)
            except HoldfastError as error:
                raise StorageError(error.in_full) from error  # it comes again
        log.info("node has a new secret", extra={"node": node})
        return wire.Answer(str(cursor), accepted=1)


async def _read(request: web.Request) -> Enrol:
    if request.content_type != "application/json":
        raise ApiError(415, "expected Content-Type: application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > BODY_MAX:
                    raise ApiError(413, f"more than {BODY_MAX} bytes")
    except TimeoutError as error:
        raise ApiError(408, "the rest of the request did not come") from error
    try:
        return msgspec.json.decode(body, type=Enrol)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"body: {error}") from error
