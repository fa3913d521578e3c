"""Which endpoints a scan may try: those of this machine and of private networks, and not too many; pure."""

import ipaddress
from dataclasses import dataclass
from typing import Literal

from gateway.core.errors import ConfigError

PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
HOSTS_MAX = 4096
PORTS = "502,1502,8899/udp"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One port of one host."""

    host: str
    port: int
    protocol: Literal["tcp", "udp"] = "tcp"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoints(net: str, ports: str = PORTS) -> list[Endpoint]:
    """Each port of each host of `net` (an address or a network, 192.168.1.0/24), port by port.

    Raises ConfigError for what is no network, a public one, or one that is too large.
    """
    try:
        network = ipaddress.ip_network(net, strict=False)
    except ValueError as error:
        raise ConfigError(f"{net}: expected an address or a network such as 192.168.1.0/24") from error
    if not any(network.version == own.version and network.subnet_of(own) for own in PRIVATE):  # type: ignore[arg-type]
        raise ConfigError(f"{net} is not a private network", hint="only this machine and private networks are scanned")
    if network.num_addresses > HOSTS_MAX:
        raise ConfigError(f"{net} has more than {HOSTS_MAX} addresses", hint="scan it in parts, such as /24")
    hosts = [str(host) for host in network.hosts()]
    return [Endpoint(host, port, protocol) for port, protocol in _ports(ports) for host in hosts]


def _ports(text: str) -> list[tuple[int, Literal["tcp", "udp"]]]:
    found: list[tuple[int, Literal["tcp", "udp"]]] = []
    for part in text.split(","):
        number, _, protocol = part.strip().partition("/")
        if not number.isdigit() or not 0 < int(number) < 65536 or protocol not in ("", "tcp", "udp"):
            raise ConfigError(f"--port: {part.strip() or text}: expected ports as in {PORTS}")
        found.append((int(number), "udp" if protocol == "udp" else "tcp"))
    return found
