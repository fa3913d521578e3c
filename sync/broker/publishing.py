"""Publishing to the broker: done when it has confirmed, and never taken for done before."""

import asyncio
import contextlib

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import DeliveryError

from sync.broker.connection import Broker, connected
from sync.broker.names import EXCHANGE
from sync.broker.problems import ERRORS, NotConfirmed, ending, problem

LOOK_S = 1.0  # so often it is looked whether it has one
SLOWEST = 10_000  # bytes a second: so much longer a large message may take to be confirmed


class Publisher:
    """Publishes to the exchange on a connection of its own: an alarm at the broker holds up what is published only."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._opening = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None

    async def publish(self, message: aio_pika.Message, routing_key: str) -> None:
        """Returns when the broker has confirmed that it keeps the message. Raises NotConfirmed, ConfigError."""
        exchange: AbstractExchange | None = None
        try:
            with ending():
                exchange = await self._opened()
                await self._unblocked()
                async with asyncio.timeout(self.broker.patience.confirm_s + message.body_size / SLOWEST):
                    await self._confirmed(exchange, message, routing_key)
        except DeliveryError as error:  # the connection is good
            raise problem(error, self.broker.url, self.broker.username) from error
        except ERRORS as error:
            await self._unblocked()
            async with self._opening:
                if self._exchange is exchange:  # not yet another one
                    await self._shut()
            raise problem(error, self.broker.url, self.broker.username) from error

    async def _confirmed(self, exchange: AbstractExchange, message: aio_pika.Message, routing_key: str) -> None:
        """Raises NotConfirmed as soon as an alarm is told, and what the library raises."""
        publishing = asyncio.ensure_future(exchange.publish(message, routing_key, mandatory=True))
        try:
            while not (await asyncio.wait({publishing}, timeout=LOOK_S))[0]:
                await self._unblocked()
        finally:
            if not publishing.done():
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)
        publishing.result()

    async def close(self) -> None:
        async with self._opening:
            await self._shut()

    async def _shut(self) -> None:
        stack, self._stack = self._stack, contextlib.AsyncExitStack()
        self._connection = self._channel = self._exchange = None
        await stack.aclose()

    async def _opened(self) -> AbstractExchange:
        async with self._opening:
            if self._exchange is None or self._channel is None or self._channel.is_closed:
                await self._shut()
                self._connection = await self._stack.enter_async_context(connected(self.broker))
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                self._exchange = await self._channel.get_exchange(EXCHANGE, ensure=False)
            return self._exchange

    async def _unblocked(self) -> None:
        """Raises NotConfirmed where the broker has said that it takes nothing: what is written now only piles up."""
        if self._connection is None or self._connection.transport is None:
            return
        if self._connection.transport.connection.is_closed:
            return
        try:
            async with asyncio.timeout(self.broker.patience.blocked_s):
                await self._connection.transport.connection.ready()
        except TimeoutError:
            words = f"{self.broker.url}: the broker is short of memory or disk and takes nothing"
            raise NotConfirmed("blocked", words, "look at the broker; it is tried again by itself") from None
