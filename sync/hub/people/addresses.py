"""Where a request comes from: what X-Forwarded-For says counts only as far as proxies of ours have written it."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


class Addresses:
    """`proxies`: addresses or networks. Raises ValueError for what is neither."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._proxies: list[Network] = [ip_network(proxy) for proxy in proxies]

    def of(self, remote: str | None, forwarded: Sequence[str]) -> str:
        """The nearest address that is no proxy of ours; `forwarded`: each X-Forwarded-For header, as they came."""
        nearest = remote or ""
        for address in reversed([part.strip() for header in forwarded for part in header.split(",")]):
            if not self._is_proxy(nearest) or not _is_address(address):
                break
            nearest = address
        return nearest

    def _is_proxy(self, text: str) -> bool:
        return _is_address(text) and any(ip_address(text) in proxy for proxy in self._proxies)


def household(address: str) -> str:
    """What belongs to one sender: of IPv6 the first half, for whoever has one address has all of these."""
    if not _is_address(address):
        return address
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((int(parsed) >> 64 << 64, 64)))
    return address


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
