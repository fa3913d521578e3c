"""The broker made ready for hub and nodes, through its management API: what is there already stays."""

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from gateway.core.authorities import trusting
from gateway.core.errors import HoldfastError
from sync.broker import names

TIMEOUT = aiohttp.ClientTimeout(total=30)
NOTHING = "^$"


class Management:
    """The management API at `url` as an administrator. An async context manager. Methods raise HoldfastError."""

    def __init__(self, url: str, username: str, password: str, authorities: Path | None = None) -> None:
        """Raises ConfigError where the certificates cannot be used."""
        self._url = url.rstrip("/")
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Basic {credentials}"},
            connector=aiohttp.TCPConnector(ssl=trusting(authorities, "amqp.tls_ca")),
            timeout=TIMEOUT,
        )

    async def __aenter__(self) -> "Management":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def put(self, path: Sequence[str], body: Mapping[str, Any]) -> None:
        await self.ask("PUT", path, body)

    async def ask(
        self, method: str, path: Sequence[str], body: Mapping[str, Any] | None = None, *, may_lack: bool = False
    ) -> Any:
        """The answer's JSON, None where there is none, and where `may_lack` and it is not there.

        Each piece of `path` is quoted.
        """
        address = "/".join([self._url, "api", *(quote(piece, safe="") for piece in path)])
        try:
            # encoded: the virtual host / is %2F and must stay so
            url = URL(address, encoded=True)
            async with self._session.request(method, url, json=body, allow_redirects=False) as response:
                if response.status == 401:
                    raise HoldfastError(f"{self._url}: not signed in", hint="check the administrator and its password")
                if may_lack and response.status == 404:
                    return None
                if not response.ok:
                    said = (await response.text(errors="replace"))[:300]
                    raise HoldfastError(f"{self._url}: {'/'.join(path)}: {response.status} {said}",
                                        hint="the user needs the tag administrator; what is there may differ from "
                                             "what is wanted: delete it first")  # fmt: skip
                return await response.json() if response.content_type == "application/json" else None
        except (aiohttp.ClientError, TimeoutError) as error:
            hint = "is the plugin rabbitmq_management on, and this its address?"
            raise HoldfastError(f"{self._url}: {str(error) or type(error).__name__}", hint=hint) from error


async def provision(
    management: Management, vhost: str, definitions: Mapping[str, Any], admin: str, hub: tuple[str, str],
    nodes: Collection[str] = (),
) -> None:  # fmt: skip
    """The virtual host, what `definitions` (config/rabbitmq/definitions.json) says, and the hub's user and rights.

    `hub`: its user and password; of `nodes` those that were made ready before get the rights of this release.
    Raises HoldfastError.
    """
    await management.put(["vhosts", vhost], {})
    await management.put(["permissions", vhost, admin], {"configure": ".*", "write": ".*", "read": ".*"})
    for policy in definitions["policies"]:  # newer brokers drop what was delivered 20 times in vain
        await management.put(["policies", vhost, policy["name"]], policy | {"vhost": vhost})
    for exchange in definitions["exchanges"]:
        await management.put(["exchanges", vhost, exchange["name"]], exchange | {"vhost": vhost})
    for queue in definitions["queues"]:
        await management.put(["queues", vhost, queue["name"]], queue | {"vhost": vhost})
    for bind in definitions["bindings"]:
        await _bind(management, vhost, bind["source"], bind["destination"], bind["routing_key"])
    await management.put(["users", hub[0]], {"password": hub[1], "tags": ""})
    taken = f"^({'|'.join((names.INGEST, names.LIVE, names.STATUS, names.STRANGERS))})$"
    rights = {"configure": NOTHING, "write": f"^{names.EXCHANGE}$", "read": taken}
    await management.put(["permissions", vhost, hub[0]], rights)
    keys = rf"^nodes\..*\.({names.COMMANDS_KEY}|{names.STRANGER_KEY})$"
    topic = {"exchange": names.EXCHANGE, "write": keys, "read": NOTHING}
    await management.put(["topic-permissions", vhost, hub[0]], topic)
    for right in await management.ask("GET", ["vhosts", vhost, "topic-permissions"]):
        if right["user"] in nodes:
            await _let_send(management, vhost, right["user"])


async def provision_node(management: Management, vhost: str, node: str, secret: str) -> None:
    """A node's user, rights and queue; with another secret than before, who uses the old one is out.

    Rights come before the user has a secret: without a topic right the broker lets a user write any key.
    Raises HoldfastError.
    """
    user = await _make_ready(management, vhost, node)
    if not _is_secret(user.get("password_hash", ""), secret):
        await management.put(["users", node], {"password": secret, "tags": ""})
        await management.ask("DELETE", ["connections", "username", node])


async def admit_node(management: Management, vhost: str, node: str, password_hash: str, *, is_new: bool) -> None:
    """The same for a node that tells only the hash of its secret; who used its name before is out.

    One that `is_new` must not be a user of something else at this broker. Raises HoldfastError.
    """
    rights = await management.ask("GET", ["users", node, "permissions"], may_lack=True) or []
    if is_new and any(right["vhost"] != vhost for right in rights):
        raise HoldfastError(f"{node} is a user of the broker for other things", hint="give the node another id")
    await _make_ready(management, vhost, node)
    await change_secret(management, node, password_hash)
    await management.ask("DELETE", ["connections", "username", node])


async def change_secret(management: Management, node: str, password_hash: str) -> None:
    """From its next connection on. Raises HoldfastError."""
    hashed = {"password_hash": password_hash, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
    await management.put(["users", node], hashed)


async def shut_out_node(management: Management, vhost: str, node: str) -> None:
    """It keeps its user, queue and password, and cannot use them. Raises HoldfastError."""
    await management.ask("DELETE", ["permissions", vhost, node], may_lack=True)
    await management.ask("DELETE", ["connections", "username", node], may_lack=True)


async def let_in_node(management: Management, vhost: str, node: str) -> None:
    """Take `shut_out_node` back, for a node that has a user. Raises HoldfastError."""
    if await management.ask("GET", ["users", node], may_lack=True) is not None:
        await _make_ready(management, vhost, node)


async def _make_ready(management: Management, vhost: str, node: str) -> Mapping[str, Any]:
    """All but the secret; gives the user as it was found, or was made: with no password, so that nobody signs in."""
    queue = names.key(node, names.COMMANDS_KEY)
    arguments = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-max-length": 10_000}
    await management.put(["queues", vhost, queue], {"durable": True, "auto_delete": False, "arguments": arguments})
    await _bind(management, vhost, names.EXCHANGE, queue, queue)
    user: Mapping[str, Any] | None = await management.ask("GET", ["users", node], may_lack=True)
    if user is not None and user.get("tags"):
        raise HoldfastError(f"{node} is an administrator of the broker, no node", hint="give the node another id")
    if user is None:
        await management.put(["users", node], {"password_hash": "", "tags": ""})
    await _let_send(management, vhost, node)
    rights = {"configure": NOTHING, "write": f"^{names.EXCHANGE}$", "read": f"^{_exact(queue)}$"}
    await management.put(["permissions", vhost, node], rights)
    return user or {}


async def _let_send(management: Management, vhost: str, node: str) -> None:
    keys = f"^nodes{DOT}{_exact(node)}{DOT}({names.NODE_KEYS})$"
    topic = {"exchange": names.EXCHANGE, "write": keys, "read": NOTHING}
    await management.put(["topic-permissions", vhost, node], topic)


async def retire_node(management: Management, vhost: str, node: str) -> None:
    """Take a node's user and queue from the broker. Raises HoldfastError."""
    await management.ask("DELETE", ["users", node])
    await management.ask("DELETE", ["queues", vhost, names.key(node, names.COMMANDS_KEY)])


def _is_secret(password_hash: str, secret: str) -> bool:
    """`password_hash` as the broker keeps it: base64 of a salt of 4 bytes, then SHA-256 of salt and password."""
    kept = base64.b64decode(password_hash)
    return hmac.compare_digest(kept[4:], hashlib.sha256(kept[:4] + secret.encode()).digest())


DOT = r"\."


def _exact(name: str) -> str:
    """As a regular expression; a node's id has no other sign that means something in one."""
    return name.replace(".", DOT)


async def _bind(management: Management, vhost: str, source: str, queue: str, routing_key: str) -> None:
    await management.ask("POST", ["bindings", vhost, "e", source, "q", queue], {"routing_key": routing_key})
