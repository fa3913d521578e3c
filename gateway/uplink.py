"""The way to the hub, put together: transport, link, and what goes over it."""

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

from gateway.buffer.buffer import Buffer
from gateway.config import HubLink
from gateway.core.status import SyncState
from gateway.timekeeping import Timekeeper
from sync.edge.engine import Engine
from sync.edge.https import HttpsTransport
from sync.edge.link import Link
from sync.edge.tls import trust
from sync.edge.transport import Transport


class Uplink:
    """All that one gateway needs to sync with its hub. Made inside a running loop."""

    def __init__(self, config: HubLink, folder: Path, buffer: Buffer, clock: Timekeeper, stack: AsyncExitStack) -> None:
        """Files in `config` are relative to `folder`; `stack` closes what is opened."""
        transport = _transport(config, folder, clock)
        stack.push_async_callback(transport.close)
        random = Random()
        self._link = Link(lambda: buffer.epoch, transport, clock, random)
        self._engine = Engine(buffer, self._link, clock, random, push_interval_s=config.push_interval_s)

    @property
    def state(self) -> Callable[[], SyncState]:
        return self._engine.state

    def jobs(self) -> Mapping[str, Coroutine[None, None, None]]:
        """By name; each runs until cancelled."""
        return {"sync": self._engine.run(), "hub's word": self._link.run()}


def _transport(config: HubLink, folder: Path, clock: Timekeeper) -> Transport:
    """Raises ConfigError where certificates cannot be used."""
    return _https(config, folder, clock)


def _https(config: HubLink, folder: Path, clock: Timekeeper) -> HttpsTransport:
    authorities = folder / config.tls_ca if config.tls_ca else None
    return HttpsTransport(
        config.url, config.node_id, config.secret, clock,
        tls=trust(authorities, config.tls_fingerprint), proxy=config.proxy,
        long_poll=config.long_poll and not config.quiet,
    )  # fmt: skip
