"""Batches over AMQP: a batch is delivered once the broker has confirmed it; what the hub says comes by our queue."""

import asyncio
import dataclasses
import logging
from collections import OrderedDict
from random import Random
from secrets import token_hex

import aio_pika
import msgspec
from aio_pika.abc import AbstractIncomingMessage

from gateway.core.errors import PushError, StorageError
from sync import wire
from sync.broker import names
from sync.broker.connection import Broker, connected, deliveries
from sync.broker.problems import ERRORS, PROVISION, NotConfirmed, problem
from sync.broker.publishing import Publisher
from sync.edge.backoff import Backoff
from sync.edge.hubtime import TimeSink, tell
from sync.edge.transport import BatchRefused, BatchTooLarge, Hear, HubRefused, LaneFull

log = logging.getLogger(__name__)
EXPECTED_MAX = 50  # questions whose answers may still say the time
LIVE_AGAIN_S = 600.0  # between two looks whether a broker has got the way of its own for what is live
PREFETCH = 100  # answers are small; those that somebody waits for must not queue behind others


class AmqpTransport:
    """Publishes as the node that `way.username` names. Made inside a running loop; `close` ends it.

    To a ledger, a heartbeat and a batch of no span (a sign of life, or what was in quarantine) the hub answers always,
    and its answer says what time it is. The push of a ledger or a secret returns that answer, which
    `run` has to hear; the others' come as news.
    """

    def __init__(self, way: Broker, time_sink: TimeSink | None = None) -> None:
        """Raises ConfigError where the certificates cannot be used."""
        way.context()
        self.name = way.url
        self.kind = "amqp"
        self._broker = way
        self._publisher = Publisher(way)
        self._time_sink = time_sink
        self._sent: OrderedDict[str, float] = OrderedDict()  # monotonic, by message id: what the hub is to answer
        self._awaited: dict[str, asyncio.Future[AbstractIncomingMessage]] = {}  # by message id
        self._live_from_s = -1e9  # monotonic; until then what is live goes with the rest

    async def push(
        self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes, *, live: bool = False
    ) -> wire.Answer:
        """See `Transport.push`."""
        if len(body) > wire.BODY_MAX:
            raise BatchTooLarge(f"{len(body)} bytes; at most {wire.BODY_MAX} in one batch")
        message = self._message(batch_type, cursor, body)
        if batch_type == "ledger":  # waits its turn behind the records that it speaks of
            return await self._ask(message, cursor, names.TELEMETRY_KEY)
        if batch_type == "secret":
            return await self._ask(message, cursor, names.STATUS_KEY)
        if batch_type == "heartbeat" or cursor.lo == cursor.hi:
            self._expect(message)
            await self._publish(message, names.STATUS_KEY)
        elif live:
            await self._publish_live(message)
        else:
            await self._publish(message, names.TELEMETRY_KEY)
        return wire.Answer(str(cursor))

    async def _ask(self, message: aio_pika.Message, cursor: wire.Cursor, what: str) -> wire.Answer:
        """The hub's own answer. Raises PushError where it does not come, or is a refusal."""
        asked = self._expect(message)
        patience_s = self._broker.patience.answer_s
        answered = self._awaited[asked] = asyncio.get_running_loop().create_future()
        try:
            await self._publish(message, what)
            async with asyncio.timeout(patience_s):
                answer = _answer(await answered)
        except TimeoutError:
            words = f"{self.name}: the broker took it, but the hub did not answer in {patience_s:.0f} s"
            raise PushError(words, hint="look whether the hub runs, and its log") from None
        finally:
            del self._awaited[asked]
        if answer is None or answer.cursor != str(cursor):
            raise PushError(f"{self.name}: what came is no answer of the hub", hint="update the gateway or the hub")
        if answer.error:
            raise BatchRefused(answer.error)
        return answer

    def _expect(self, message: aio_pika.Message) -> str:
        """Make `message` a question; its id."""
        message.message_id = asked = token_hex(8)
        message.reply_to = names.key(self._broker.username, names.COMMANDS_KEY)
        self._sent[asked] = self._time_sink.monotonic_s() if self._time_sink else 0
        if len(self._sent) > EXPECTED_MAX:
            self._sent.popitem(last=False)
        return asked

    def _message(self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes) -> aio_pika.Message:
        return aio_pika.Message(
            body,
            headers={wire.BATCH_TYPE: batch_type, wire.CURSOR: str(cursor)},
            content_type=wire.CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            user_id=self._broker.username,  # the broker checks that it is
        )

    async def _publish_live(self, message: aio_pika.Message) -> None:
        """Past the backlog, or with it where the broker was made ready by a release without such a way."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._live_from_s:
            try:
                await self._publisher.publish(message, names.key(self._broker.username, names.LIVE_KEY))
            except NotConfirmed as error:
                if error.why not in ("nowhere", "denied"):
                    raise _as_push_error(error) from error
            else:
                return
        await self._publish(message, names.TELEMETRY_KEY)
        if now_s >= self._live_from_s:
            self._live_from_s = now_s + LIVE_AGAIN_S
            facts = {"hub": self.name, "what to do": PROVISION}
            log.warning("what is live waits behind the backlog at the broker", extra=facts)

    async def _publish(self, message: aio_pika.Message, what: str) -> None:
        try:
            await self._publisher.publish(message, names.key(self._broker.username, what))
        except NotConfirmed as error:
            raise _as_push_error(error) from error

    def use_secret(self, secret: str) -> None:
        """Sign in with another one from the next connection on."""
        self._broker = self._publisher.broker = dataclasses.replace(self._broker, password=secret)

    async def run(self, hear: Hear) -> None:
        """See `Transport.run`."""
        backoff = Backoff(Random(), self._broker.patience)
        while True:
            try:
                await self._listen(hear, backoff)
                why = "the connection ended"
            except ERRORS as error:
                why = problem(error, self._broker.url, self._broker.username).in_full
            except StorageError as error:  # it stays in the queue
                why = str(error)
            if not backoff.failures:
                log.warning("hub not heard", extra={"hub": self.name, "why": why})
            await asyncio.sleep(backoff.failed())

    async def _listen(self, hear: Hear, backoff: Backoff) -> None:
        async with connected(self._broker) as connection:
            channel = await connection.channel(publisher_confirms=False)
            queue = names.key(self._broker.username, names.COMMANDS_KEY)
            async for message in deliveries(channel, {queue: PREFETCH}, self._is_awaited):
                if (answer := _answer(message)) is not None:
                    if answer.error:
                        log.warning("the hub refused a batch", extra={"cursor": answer.cursor, "why": answer.error})
                    await hear(answer)
                await message.ack()
                backoff.succeeded()

    def _is_awaited(self, message: AbstractIncomingMessage) -> bool:
        """Whether a push waits for this; by the way, hear what time it is."""
        asked = message.correlation_id or ""
        sent_s, hub_time = self._sent.pop(asked, None), message.headers.get(wire.HUB_TIME)
        if sent_s is not None and isinstance(hub_time, int):
            tell(self._time_sink, (hub_time, 0), sent_s)
        awaited = self._awaited.get(asked)
        if awaited is None or awaited.done():
            return False
        awaited.set_result(message)
        return True

    async def close(self) -> None:
        await self._publisher.close()


def _answer(message: AbstractIncomingMessage) -> wire.Answer | None:
    """None: it is no answer."""
    try:
        return msgspec.json.decode(message.body, type=wire.Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("no answer of the hub", extra={"why": str(error)})
        return None


def _as_push_error(error: NotConfirmed) -> PushError:
    """As the engine wants to know it."""
    match error.why:
        case "denied":
            return HubRefused(str(error), hint=error.hint)
        case "full":
            return LaneFull(str(error))
        case "too large":
            return BatchTooLarge(str(error), hint=error.hint)
    return error
