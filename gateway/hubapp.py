"""The hub, put together."""

import contextlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.core.clock import SystemClock
from gateway.core.errors import ConfigError
from gateway.loadconfig import read_text
from gateway.running import Stop, allow_connections, run_until, serve
from local_ui import guard
from sync.hub.app import CHORES, DOOR, FLEET, READY, REGISTRY, SIGNED, build_hub
from sync.hub.config import AmqpConfig, HubConfig, parse_hub_config
from sync.hub.enrol.brokerdesk import BrokerDesk
from sync.hub.enrol.registry import Registry
from sync.hub.intake.door import Takes
from sync.hub.people.failures import Failures
from sync.hub.people.passwords import Passwords, generated
from sync.hub.people.people import FIRST, People
from sync.hub.store.opening import open_store
from sync.hub.tls import server_tls
from sync.hub.weaksecrets import check_secrets

if TYPE_CHECKING:
    from sync.hub.intake.amqp import Consumer


def load_hub_config(path: Path) -> HubConfig:
    """Raises ConfigError, also for a secret that everybody knows."""
    text = read_text(path)
    config = parse_hub_config(text, path.name)
    check_secrets(config, text, path.name)
    return config


async def run_hub(config: HubConfig, folder: Path, ready: Callable[[str], None]) -> None:
    """The hub; paths are relative to `folder`. Run until SIGTERM or SIGINT; `ready` is told the page's address, and
    the first time of all how to sign in."""
    static = resources.files("local_ui").joinpath("static")
    tls = server_tls(folder / config.tls_cert, folder / config.tls_key) if config.tls_cert and config.tls_key else None
    stop = Stop()
    allow_connections()  # each node keeps two
    async with contextlib.AsyncExitStack() as stack:
        store = await open_store(config.store, folder)
        stack.push_async_callback(store.close)
        broker = _broker(config.amqp, folder)
        app = build_hub(
            config, store, SystemClock(), Path(str(static)), [guard.headers], broker=broker, folder=folder
        )  # fmt: skip
        consumer = _consumer(config.amqp, folder, app[DOOR], app[REGISTRY]) if config.amqp is not None else None
        app[FLEET].tell = consumer.tell if consumer else None
        if consumer is not None:
            app[READY].checks["broker"] = consumer.lacks
        serving = serve(app, config.host, config.port, unpack=False, tls=tls)
        address = await stack.enter_async_context(serving)
        ready(address + await _first_person(app[SIGNED].people))
        tasks = {"chores": app[CHORES].run()}
        await run_until(stop, tasks | ({"broker": consumer.run(), "orders": app[FLEET].run()} if consumer else {}))


async def _first_person(people: People) -> str:
    """What to say of the administrator that is made where nobody is known; said once, and kept nowhere."""
    password = generated()
    is_first = await people.add_first(password, SystemClock().wall_ms())
    return f" (sign in as {FIRST} with the password {password}, which is shown only now)" if is_first else ""


async def set_password(config: HubConfig, folder: Path, name: str) -> str:
    """A new password for `name`, who may try to sign in at once. Raises ConfigError where nobody has that name."""
    store = await open_store(config.store, folder)
    try:
        password = generated()
        if not await People(store.sql, Passwords()).set_password(name, password):
            raise ConfigError(f"there is no person {name}", hint=f"the first one is {FIRST}")
        await Failures(store.sql).forget(name)
        return password
    finally:
        await store.close()


def _broker(amqp: AmqpConfig | None, folder: Path) -> BrokerDesk | None:
    """Raises ConfigError."""
    if amqp is None or amqp.management_url is None or amqp.management_password is None:
        return None
    from sync.broker.connection import Broker

    return BrokerDesk(amqp, Broker(amqp.url, amqp.username, "").vhost, folder)


def _consumer(amqp: AmqpConfig, folder: Path, door: Takes, registry: Registry) -> "Consumer":
    """Raises ConfigError where the broker's certificates cannot be used."""
    from sync.broker.connection import Broker
    from sync.hub.intake.amqp import Consumer  # brings aio-pika, which few hubs need

    way = Broker(amqp.url, amqp.username, amqp.password, folder / amqp.tls_ca if amqp.tls_ca else None)
    return Consumer(way, door, registry, SystemClock())
