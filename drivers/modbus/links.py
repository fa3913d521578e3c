"""From where a bus is to the link that asks on it."""

import re
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from drivers.bus.capture import Header
from drivers.bus.channel import Channel, SerialChannel, TcpChannel, UdpChannel
from drivers.modbus.device import Link
from drivers.modbus.profile import Link as Wants
from drivers.modbus.rtu import RtuLink, rtu_line
from drivers.modbus.tcp import TcpLink
from gateway.core.errors import ConfigError
from gateway.core.hosts import is_host, is_ipv6
from gateway.core.statistics import BusStatistics

Framing = Literal["tcp", "rtu"]
PORT = re.compile("[0-9]{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a bus is: exactly one of `tcp`, `udp` (both HOST:PORT) and `serial` (a port's path)."""

    tcp: str = ""
    udp: str = ""
    serial: str = ""
    framing: Framing = "tcp"  # of `tcp`; the others are always RTU
    baud: int = 9600
    parity: str = "none"
    stop_bits: int = 1

    def channel(self) -> Channel:
        """Raises ConfigError for an address that is none."""
        if self.serial:
            return SerialChannel(self.serial, self.baud, self.parity, self.stop_bits)
        if self.udp:
            return UdpChannel(*host_and_port(self.udp))
        return TcpChannel(*host_and_port(self.tcp))

    def at(self, host: str, port: int) -> "Place":
        """The same, with another TCP endpoint."""
        return replace(self, tcp=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    @property
    def is_rtu(self) -> bool:
        return bool(self.serial or self.udp) or self.framing == "rtu"


def header_of(place: Place, *, listened: bool = False) -> Header:
    """What a capture says of where it comes from."""
    where = place.channel().name
    framing: Framing = "rtu" if place.is_rtu else "tcp"
    if not place.serial:
        return Header(where, framing, listened=listened)
    return Header(where, framing, place.baud, place.parity, place.stop_bits, listened)


class OpenLink(Link, Protocol):
    """A link that counts, and can be closed."""

    statistics: BusStatistics

    async def close(self) -> None: ...


def link_to(channel: Channel, *, rtu: bool, wants: Wants) -> OpenLink:
    """The link that does justice to what the devices on it want."""
    if rtu:
        return RtuLink(rtu_line(channel, settle_s=wants.settle_s))
    return TcpLink(channel, settle_s=wants.settle_s, in_flight=wants.in_flight, lax=wants.lax_transaction)


def host_and_port(text: str, default_port: int | None = None, *, port_min: int = 1) -> tuple[str, int]:
    """`HOST:PORT`, with [...] around an IPv6 address; without them that is a host alone. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if default_port is not None and (not colon or text.endswith("]") or is_ipv6(text)):
        host, port = text, str(default_port)
    if not is_host(host.strip("[]")) or not PORT.fullmatch(port) or not port_min <= int(port) < 65536:
        raise ConfigError(f"{text}: expected HOST:PORT" + ("" if default_port is None else " or HOST"))
    return host.strip("[]"), int(port)
