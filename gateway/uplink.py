"""The way to the hub, put together: transport, link, and what goes over it."""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from gateway import carryout, carryreceipt
from gateway.buffer.buffer import Buffer
from gateway.config import AmqpLink, HubLink
from gateway.core.clock import plausible
from gateway.core.span import Span
from gateway.core.status import SyncState
from gateway.timekeeping import Timekeeper
from sync.broker.patience import USUAL, Patience
from sync.edge.engine import Engine
from sync.edge.https import HttpsTransport
from sync.edge.ledger import Comparison
from sync.edge.link import Link
from sync.edge.metering import Meter
from sync.edge.rotation import Keys, Rotation
from sync.edge.switching import SwitchingTransport
from sync.edge.tls import trust
from sync.edge.transport import Transport

if TYPE_CHECKING:
    from sync.edge.amqp import AmqpTransport

Use = Callable[[str], None]


class Uplink:
    """All that one gateway needs to sync with its hub. Made inside a running loop."""

    def __init__(
        self, config: HubLink, folder: Path, buffer: Buffer, clock: Timekeeper, zone: ZoneInfo, stack: AsyncExitStack,
        keys: Keys, patience: Patience = USUAL,
    ) -> None:  # fmt: skip
        """Files in `config` are relative to `folder`; `stack` closes what is opened; `zone`: when a day ends; `keys`:
        where the next secret is kept."""
        self._config, self._buffer, self._clock = config, buffer, clock
        transport, self._signers = _transport(config, folder, clock, patience)
        stack.push_async_callback(transport.close)
        random = Random()
        meter = Meter(lambda: _day(clock, zone), round((config.daily_mb or 0) * 1e6), buffer.spent)
        stack.push_async_callback(meter.close)
        self.link = Link(lambda: buffer.epoch, transport, clock, random, meter, patience)
        self._engine = Engine(
            buffer, self.link, clock, random, push_interval_s=config.push_interval_s, quiet=config.quiet
        )
        self.rotation = Rotation(config.secret, keys, transport, self._use_secret, self.link.backoff())
        self.comparison = Comparison(buffer.accounts, buffer, self._engine, self.link, clock, every_s=config.compare_s)

    def state(self) -> SyncState:
        last = self.comparison
        told = {"compared_at": last.compared_at, "compared": last.compared, "differing": last.differing}
        return msgspec.structs.replace(self._engine.state(), **told)

    async def restored(self) -> None:
        """See `Engine.restored`."""
        await self._engine.restored()

    def compare(self) -> None:
        """Have both ends compared now."""
        self.comparison.compare_now()

    def carry_out(self) -> Generator[bytes, None, None]:
        """See `gateway.syncdesk.Way`."""
        return carryout.streamed(self._buffer.path, self._config, self._clock)

    async def take_receipt(self, receipt: bytes) -> str:
        """See `gateway.syncdesk.Way`."""
        found = await asyncio.to_thread(carryreceipt.read, receipt, self._config)
        found.check(self._buffer.epoch)
        left = await self._engine.acknowledged(found.epoch, found.taken["records"], found.taken["events"])
        return found.text(left)

    def wake(self) -> None:
        """See `Link.wake`."""
        self.link.wake()

    def resend(self, spans: Iterable[Span]) -> None:
        """See `Engine.resend`."""
        self._engine.resend(spans)

    def _use_secret(self, secret: str) -> None:
        self._config = msgspec.structs.replace(self._config, secret=secret)
        for use in self._signers:
            use(secret)

    def jobs(self) -> Mapping[str, Coroutine[None, None, None]]:
        """By name; each runs until cancelled."""
        return {
            "sync": self._engine.run(), "hub's word": self.link.run(), "ledger": self.comparison.run(),
            "secret": self.rotation.run(),
        }  # fmt: skip


def _day(clock: Timekeeper, zone: ZoneInfo) -> int | None:
    """The number of the day at the site; None while nobody knows the time."""
    wall_ms = clock.wall_ms()
    known = clock.known and plausible(wall_ms)
    return datetime.fromtimestamp(wall_ms / 1000, zone).toordinal() if known else None


def _transport(config: HubLink, folder: Path, clock: Timekeeper, patience: Patience) -> tuple[Transport, list[Use]]:
    """With what has it sign in with another secret. Raises ConfigError where certificates cannot be used."""
    if config.transport == "amqp" and config.amqp is not None:
        broker = _amqp(config, config.amqp, folder, clock, patience)
        return broker, [broker.use_secret]
    https = _https(config, folder, clock, patience)
    if config.transport == "https" or config.amqp is None:
        return https, [https.use_secret]
    broker = _amqp(config, config.amqp, folder, clock, patience)
    return SwitchingTransport(broker, https, Random()), [broker.use_secret, https.use_secret]


def _amqp(config: HubLink, amqp: AmqpLink, folder: Path, clock: Timekeeper, patience: Patience) -> "AmqpTransport":
    from sync.broker.connection import Broker  # brings aio-pika, which few gateways need
    from sync.edge.amqp import AmqpTransport

    authorities = folder / amqp.tls_ca if amqp.tls_ca else None
    return AmqpTransport(Broker(amqp.url, config.node_id, config.secret, authorities, patience), clock)


def _https(config: HubLink, folder: Path, clock: Timekeeper, patience: Patience) -> HttpsTransport:
    authorities = folder / config.tls_ca if config.tls_ca else None
    return HttpsTransport(
        config.url, config.node_id, config.secret, clock,
        tls=trust(authorities, config.tls_fingerprint), proxy=config.proxy,
        long_poll=config.long_poll and not config.quiet, patience=patience,
    )  # fmt: skip
