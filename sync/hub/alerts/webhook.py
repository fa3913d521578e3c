"""Alerts as signed JSON to an address of somebody's choice, which must not lead into the hub's own machine."""

import asyncio
import ipaddress
import socket
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.core.errors import HoldfastError
from sync.hub.alerts.notices import Message, signature
from sync.hub.alerts.receivers import Receiver

TIMEOUT_S = 10.0
SIGNATURE, DELIVERY, TIMESTAMP = "X-Holdfast-Signature", "X-Holdfast-Delivery", "X-Holdfast-Timestamp"
METADATA = ipaddress.ip_address("fd00:ec2::254")  # of a cloud's own network: it gives away credentials
Reach = Literal["public", "network", "anywhere"]


class DeliveryError(HoldfastError):
    """A message that its receiver did not take."""


class Webhooks:
    """`reach`: public, addresses of the internet alone; network, private ones too, but not this machine's own, nor
    link-local ones; anywhere, all."""

    def __init__(self, reach: Reach = "network", *, timeout_s: float = TIMEOUT_S) -> None:
        self._reach = reach
        self._timeout_s = timeout_s

    async def send(self, receiver: Receiver, message: Message) -> None:
        """Raises DeliveryError. What the receiver answers beyond its status is not read."""
        check_address(receiver.address, self._reach)
        body = msgspec.json.encode(message)
        headers = {
            "Content-Type": "application/json", TIMESTAMP: str(message.sent), DELIVERY: message.delivery,
            SIGNATURE: f"sha256={signature(receiver.secret, message.sent, body)}", "User-Agent": "Holdfast",
        }  # fmt: skip
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        connector = aiohttp.TCPConnector(resolver=_Resolver(self._reach), use_dns_cache=False)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.post(receiver.address, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError as error:
            raise DeliveryError(f"no answer within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DeliveryError(f"not reached: {type(error).__name__}") from error
        if not 200 <= status < 300:
            raise DeliveryError(f"the receiver answered {status}")


class _Resolver(AbstractResolver):
    """Names to addresses, of which each may be reached: what a name means is found out once, for the connection."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        addresses = [(kind, str(address[0])) for kind, _, _, _, address in found]
        if not all(may_reach(address, self._reach) for _, address in addresses):
            raise OSError("an address that webhooks may not be sent to")
        flags = socket.AI_NUMERICHOST
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=flags)
            for kind, address in addresses
        ]

    async def close(self) -> None: ...


def check_address(address: str, reach: Reach) -> None:
    """Raises DeliveryError in words for what cannot be the address of a webhook."""
    try:
        parts = urlsplit(address)
        host, _ = URL(address).host or "", parts.port  # as it will be connected to: other digits and dots made plain
    except ValueError as error:
        raise DeliveryError("no address") from error
    if parts.scheme not in ("http", "https") or not host:
        raise DeliveryError("expected http(s)://HOST[:PORT]/PATH")
    if parts.username is not None or parts.password is not None:
        raise DeliveryError("no user and password in the address: the receiver knows us by the signature")
    if not may_reach(host, reach) or (reach != "anywhere" and host.rstrip(".").lower() == "localhost"):
        raise DeliveryError("webhooks may not be sent to that address")


def may_reach(host: str, reach: Reach) -> bool:
    """Whether the address `host` may be; a name may, for what it means is looked at when it is used."""
    try:
        address: Any = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    address = _within(address)
    if reach == "anywhere":
        return True
    if address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast:
        return False
    if address == METADATA or address.is_reserved or _is_ours(address):
        return False
    return bool(address.is_global) if reach == "public" else True


def _within(address: Any) -> Any:
    """The IPv4 address that one of IPv6 leads to, where it does; else the address itself."""
    if address.version == 6:
        return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
    return address


def _is_ours(address: Any) -> bool:
    """Whether this machine itself has it: only then a socket takes it as its own."""
    with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
