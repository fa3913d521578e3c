"""Names of hosts."""

import ipaddress


def is_host(name: str) -> bool:
    """Whether a resolver can be asked for it: its labels have 1 to 63 letters, and there is no NUL or space."""
    try:
        return bool(name.encode("idna")) and not any(letter.isspace() or letter == "\0" for letter in name)
    except UnicodeError:
        return False


def is_ipv6(text: str) -> bool:
    """Whether it is a bare address, without [...] and a port."""
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def same_host(name: str) -> str:
    """One spelling for all that mean the same host."""
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return name.lower().removesuffix(".")
