"""A connection to the broker, and what comes over it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from yarl import URL

from gateway.core.authorities import trusting
from sync.broker.lenient import be_lenient
from sync.broker.patience import USUAL, Patience
from sync.broker.problems import ERRORS, ending

VHOST = "holdfast"  # where the address names none

be_lenient()


@dataclass(frozen=True, slots=True)
class Broker:
    """Where it is and who we are there; `authorities`: a file with the certificates that its own is signed by."""

    url: str  # amqp(s)://HOST[:PORT][/VHOST]
    username: str
    password: str
    authorities: Path | None = None
    patience: Patience = USUAL

    @property
    def address(self) -> URL:
        url = URL(self.url)
        path = url.raw_path if url.raw_path.strip("/") else f"/{VHOST}"
        return URL(f"{url.scheme}://{url.authority}{path}", encoded=True)

    @property
    def vhost(self) -> str:
        return self.address.path[1:]

    def context(self) -> ssl.SSLContext | None:
        """Raises ConfigError where the certificates cannot be used."""
        return trusting(self.authorities, "amqp.tls_ca") if self.address.scheme == "amqps" else None


@contextlib.asynccontextmanager
async def connected(broker: Broker) -> AsyncIterator[AbstractConnection]:
    """A connection. Raises ERRORS and ConfigError; one that the broker no longer answers on is given up soon."""
    url = broker.address.with_user(broker.username).with_password(broker.password)
    connection = aio_pika.Connection(url, ssl_context=broker.context())
    try:
        with ending():
            async with asyncio.timeout(broker.patience.broker_connect_s):
                await connection.connect()
            yield connection
    finally:
        with contextlib.suppress(*ERRORS), ending():
            async with asyncio.timeout(broker.patience.broker_close_s):
                await connection.close()
        await connection.close()  # it has let go of what did not close in time, and is not to try that when collected


async def deliveries(
    channel: AbstractChannel,
    queues: Mapping[str, int],
    divert: Callable[[AbstractIncomingMessage], bool] = lambda _: False,
) -> AsyncIterator[AbstractIncomingMessage]:
    """What the queues hold and get, until the channel closes or a queue is deleted; of each so many in hand at once.

    `divert` may take a message as it comes; then it is acknowledged and not yielded. Raises ERRORS.
    """
    inbox: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()  # no longer than the prefetch

    async def arrived(message: AbstractIncomingMessage) -> None:
        if divert(message):
            await message.ack()
        else:
            inbox.put_nowait(message)

    def over(*_: object) -> None:
        inbox.put_nowait(None)

    channel.close_callbacks.add(over)
    (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(over)
    for name, prefetch in queues.items():
        await channel.set_qos(prefetch)  # counts for the consumers that come after it, each by itself
        await (await channel.get_queue(name, ensure=False)).consume(arrived)
    while (message := await inbox.get()) is not None:
        yield message
