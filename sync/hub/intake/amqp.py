"""What nodes send over AMQP: taken from the broker's queues, acknowledged once it is stored, answered."""

import asyncio
import contextlib
import logging

import aio_pika
import msgspec
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from gateway.core.ration import Ration
from sync import wire
from sync.broker import names
from sync.broker.connection import Broker, connected, deliveries
from sync.broker.problems import ERRORS, PROVISION, NotConfirmed, ending, problem
from sync.broker.publishing import Publisher
from sync.hub.intake.door import Refused, Takes
from sync.hub.intake.secrets import Secrets

log = logging.getLogger(__name__)
PREFETCH = 8  # batches in hand, of each queue; one may have wire.BODY_MAX bytes
PREFETCH_BACKLOG = 4  # fewer: what is live waits for those in hand
LOOK_S, LOOK_SOON_S = 3600.0, 20.0  # between two looks at what strangers sent; soon, where it is one's who waits
LIVE_AGAIN_S = 20.0  # before a broker without the queue for what is live is looked at again
PAUSE_S = 2.0  # before a store that took nothing, or a broker that is away, is asked again
LASTING_S = 60.0  # so long an answer waits for its node; the next one says the same again


class Consumer:
    """Takes the batches of the nodes that `secrets` knows. Several hubs may take from one broker."""

    def __init__(
        self, way: Broker, door: Takes, secrets: Secrets, clock: Clock,
        *, look_soon_s: float = LOOK_SOON_S, live_again_s: float = LIVE_AGAIN_S, pause_s: float = PAUSE_S,
    ) -> None:  # fmt: skip
        """Raises ConfigError where the certificates cannot be used."""
        self._look_soon_s, self._live_again_s, self._pause_s = look_soon_s, live_again_s, pause_s
        way.context()
        self._broker = way
        self._door = door
        self._secrets = secrets
        self._clock = clock
        self._publisher = Publisher(way)  # a connection of its own: an alarm at the broker must not stop the taking
        self._reached = True  # until it is found otherwise
        self._strangers = Ration(clock)
        self._puts_aside = True
        self._failures = Ration(clock)

    async def lacks(self) -> str:
        """Why nothing comes by the broker; empty: it is reached."""
        return "" if self._reached else "the broker is not reached"

    async def run(self) -> None:
        """Take what comes. Run until cancelled."""
        try:
            async with asyncio.TaskGroup() as batches:
                while True:
                    try:
                        await self._listen(batches)
                        why = "the connection ended"
                    except ERRORS as error:
                        why = problem(error, self._broker.url, self._broker.username).in_full
                    if self._reached:
                        log.warning("broker not reached", extra={"broker": self._broker.url, "why": why})
                    self._reached = False
                    await asyncio.sleep(self._pause_s)
        finally:
            await self._publisher.close()

    async def _listen(self, batches: asyncio.TaskGroup) -> None:
        """Take what comes on one connection, until it ends. Raises ERRORS."""
        async with connected(self._broker) as connection:
            channel = await connection.channel(publisher_confirms=False)
            self._reached = True
            log.info("broker reached", extra={"broker": self._broker.url})
            beside = [
                batches.create_task(self._listen_live(connection, batches), name="amqp live"),
                batches.create_task(self._look_at_strangers(connection), name="amqp strangers"),
            ]
            try:
                queues = {names.STATUS: PREFETCH, names.INGEST: PREFETCH_BACKLOG}
                async for message in deliveries(channel, queues):
                    batches.create_task(self._settle(message), name="amqp batch")
            finally:
                for task in beside:
                    task.cancel()

    async def _listen_live(self, connection: AbstractConnection, batches: asyncio.TaskGroup) -> None:
        """Take what is live besides, where the broker has a queue for it. Run until cancelled."""
        told = False
        while True:
            pause_s, lacks = self._live_again_s, True
            with contextlib.suppress(*ERRORS), ending():
                channel = await connection.channel(publisher_confirms=False)
                async for message in deliveries(channel, {names.LIVE: PREFETCH}):
                    batches.create_task(self._settle(message), name="amqp live batch")
                pause_s, lacks = self._pause_s, False  # it is there, and has moved within the broker
            if lacks and not told and not connection.is_closed:
                log.warning("no queue for what is live", extra={"broker": self._broker.url, "what to do": PROVISION})
                told = True
            await asyncio.sleep(pause_s)

    async def _look_at_strangers(self, connection: AbstractConnection) -> None:
        """Take what was put aside, where its node is listed by now. Run until cancelled."""
        while True:
            waits = False
            with contextlib.suppress(*ERRORS, StorageError), ending():
                channel = await connection.channel(publisher_confirms=False)
                queue = await channel.get_queue(names.STRANGERS, ensure=False)
                while (message := await queue.get(fail=False)) is not None:
                    node = names.node_of(message.routing_key or "") or ""
                    if message.user_id != self._broker.username or not await self._secrets.of(node):
                        continue
                    if await self._store(node, message):
                        await message.ack()
                    else:
                        waits = True
                await channel.close()  # what was not acknowledged is in the queue again
            await asyncio.sleep(self._look_soon_s if waits else LOOK_S)

    async def tell(self, node: str, answer: wire.Answer) -> None:
        """Say something to a node by ourselves. Raises NotConfirmed where the broker does not take it for the node."""
        await self._say(node, answer, "", LASTING_S)

    async def _settle(self, message: AbstractIncomingMessage) -> None:
        """Acknowledge the message once nothing is lost by that; else park it, and it comes again a little later."""
        done = await self._take(message)
        with contextlib.suppress(*ERRORS), ending():  # where the connection has ended, it comes again on the next
            await (message.ack() if done else message.reject(requeue=False))

    async def _take(self, message: AbstractIncomingMessage) -> bool:
        """Whether the hub is done with it."""
        node = names.node_of(message.routing_key or "") or ""
        is_nodes = message.user_id == node
        try:
            if is_nodes and await self._secrets.of(node):
                return await self._store(node, message)
        except StorageError:
            await asyncio.sleep(self._pause_s)
            return False
        if (suppressed := self._strangers.spend()) is not None:
            facts = {"key": message.routing_key, "user": message.user_id, "suppressed": suppressed}
            what = "a batch of no node of this hub waits at the broker" if is_nodes else "dropped what no gateway sent"
            log.warning(what, extra=facts)
        if not is_nodes or message.routing_key == names.key(node, names.STATUS_KEY):  # what it says of itself grows old
            return True
        return await self._put_aside(node, message)

    async def _put_aside(self, node: str, message: AbstractIncomingMessage) -> bool:
        """Whether it is where it waits without coming again and again; a broker of before has no such place."""
        copy = aio_pika.Message(
            message.body,
            headers={name: _header(message, name) for name in (wire.BATCH_TYPE, wire.CURSOR)},
            content_type=message.content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            user_id=self._broker.username,
        )
        try:
            if self._puts_aside:
                await self._publisher.publish(copy, names.key(node, names.STRANGER_KEY))
        except NotConfirmed as error:
            self._puts_aside = error.why not in ("nowhere", "denied")
            return False
        return self._puts_aside

    async def _store(self, node: str, message: AbstractIncomingMessage) -> bool:
        """Whether the hub is done with it, which is `node`'s."""
        cursor, batch_type = _header(message, wire.CURSOR)[:80], _header(message, wire.BATCH_TYPE)[:20]
        try:
            if message.body_size > wire.BODY_MAX:
                raise Refused(413, f"a body of more than {wire.BODY_MAX} bytes")
            answer = await self._door.take(node, batch_type, cursor, message.body)
        except Refused as refused:
            answer = wire.Answer(cursor, wanted=refused.wanted, error="" if refused.wanted else str(refused))
        except StorageError:
            await asyncio.sleep(self._pause_s)
            return False
        except Exception:  # a bug of ours must not end the hub, which would meet the same message again and again
            if (suppressed := self._failures.spend()) is not None:
                log.exception("a batch failed", extra={"node": node, "cursor": cursor, "suppressed": suppressed})
            return False
        answer = msgspec.structs.replace(answer, type=batch_type)
        return await self._answer(node, answer, message) and not answer.wanted

    async def _answer(self, node: str, answer: wire.Answer, message: AbstractIncomingMessage) -> bool:
        """Whether the node will hear what it has to."""
        final = bool(answer.rejected or (answer.error and not answer.wanted))  # it is not said again
        if not (final or answer.wanted or answer.differing or answer.commands or message.reply_to):
            return True
        try:
            await self._say(node, answer, message.message_id or "", None if final else LASTING_S)
        except NotConfirmed as error:
            if (suppressed := self._failures.spend()) is not None:
                log.warning("answer not sent", extra={"node": node, "why": str(error), "suppressed": suppressed})
            return not final
        return True

    async def _say(self, node: str, answer: wire.Answer, asked: str, lasting_s: float | None) -> None:
        message = aio_pika.Message(
            msgspec.json.encode(answer),
            headers={wire.HUB_TIME: self._clock.wall_ms()},
            content_type="application/json",
            correlation_id=asked,
            expiration=lasting_s,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._publisher.publish(message, names.key(node, names.COMMANDS_KEY))


def _header(message: AbstractIncomingMessage, name: str) -> str:
    value = message.headers.get(name)
    return value if isinstance(value, str) else ""
