"""The hub, put together."""

import contextlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.core.clock import SystemClock
from gateway.loadconfig import read_text
from gateway.running import Stop, allow_connections, run_until, serve
from local_ui import guard
from sync.hub.app import CHORES, DOOR, FLEET, OPEN_PATHS, build_hub
from sync.hub.config import AmqpConfig, HubConfig, parse_hub_config
from sync.hub.door import Door
from sync.hub.opening import open_store
from sync.hub.tls import server_tls

if TYPE_CHECKING:
    from sync.hub.amqp import Consumer


def load_hub_config(path: Path) -> HubConfig:
    """Raises ConfigError."""
    return parse_hub_config(read_text(path), path.name)


async def run_hub(config: HubConfig, folder: Path, ready: Callable[[str], None]) -> None:
    """The hub; paths are relative to `folder`. Run until SIGTERM or SIGINT; `ready` is told the page's address."""
    static = resources.files("local_ui").joinpath("static")
    tls = server_tls(folder / config.tls_cert, folder / config.tls_key) if config.tls_cert and config.tls_key else None
    stop = Stop()
    allow_connections()  # each node keeps two
    async with contextlib.AsyncExitStack() as stack:
        store = await open_store(config.store, folder)
        stack.push_async_callback(store.close)
        guards = [guard.headers, guard.sign_in(config.password_sha256, OPEN_PATHS)]
        app = build_hub(config, store, SystemClock(), Path(str(static)), guards)
        consumer = _consumer(config, config.amqp, folder, app[DOOR]) if config.amqp is not None else None
        app[FLEET].tell = consumer.tell if consumer else None
        serving = serve(app, config.host, config.port, unpack=False, tls=tls)
        ready(await stack.enter_async_context(serving))
        tasks = {"chores": app[CHORES].run()}
        await run_until(stop, tasks | ({"broker": consumer.run(), "orders": app[FLEET].run()} if consumer else {}))


def _consumer(config: HubConfig, amqp: AmqpConfig, folder: Path, door: Door) -> "Consumer":
    """Raises ConfigError where the broker's certificates cannot be used."""
    from sync.broker.connection import Broker
    from sync.hub.amqp import Consumer  # brings aio-pika, which few hubs need

    way = Broker(amqp.url, amqp.username, amqp.password, folder / amqp.tls_ca if amqp.tls_ca else None)
    return Consumer(way, door, {node.id for node in config.nodes}, SystemClock())
