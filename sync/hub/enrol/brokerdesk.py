"""The broker's users that nodes are, by its management API; see `NodesAtBroker`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.core.errors import ConfigError, HoldfastError
from sync.enrol import BrokerAddress
from sync.hub.config import AmqpConfig
from sync.hub.intake import provision


class BrokerDesk:
    """Signs in anew for each act: there are few. Raises ConfigError where the certificates cannot be read."""

    def __init__(self, config: AmqpConfig, vhost: str, folder: Path) -> None:
        """`config` has management_url and management_password; files in it are relative to `folder`."""
        self._config = config
        self._vhost = vhost
        self._authorities = folder / config.tls_ca if config.tls_ca else None
        try:
            ca = self._authorities.read_text() if self._authorities else ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"amqp.tls_ca: {self._authorities}: cannot be read: {error}") from error
        self.address = BrokerAddress(config.nodes_url or config.url, ca)

    @asynccontextmanager
    async def _management(self) -> AsyncIterator[provision.Management]:
        amqp = self._config
        url, password = amqp.management_url or "", amqp.management_password or ""
        async with provision.Management(url, amqp.management_username, password, self._authorities) as management:
            yield management

    async def admit(self, node: str, password_hash: str, *, is_new: bool) -> None:
        """See `NodesAtBroker.admit`."""
        if node == self._config.username:
            raise HoldfastError(f"{node} is the hub's own user at the broker", hint="give the node another id")
        async with self._management() as management:
            await provision.admit_node(management, self._vhost, node, password_hash, is_new=is_new)

    async def change(self, node: str, password_hash: str) -> None:
        """See `NodesAtBroker.change`."""
        async with self._management() as management:
            await provision.change_secret(management, node, password_hash)

    async def shut_out(self, node: str) -> None:
        """See `NodesAtBroker.shut_out`."""
        async with self._management() as management:
            await provision.shut_out_node(management, self._vhost, node)

    async def let_in(self, node: str) -> None:
        """See `NodesAtBroker.let_in`."""
        async with self._management() as management:
            await provision.let_in_node(management, self._vhost, node)
