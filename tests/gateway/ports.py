"""Ports that nobody listens on."""

import random
import socket
from contextlib import ExitStack, suppress

# Below those that Linux gives to connections by itself: a server that is restarted finds its port free.
FIRST, LAST = 10_000, 32_000


def free_ports(count: int) -> list[int]:
    """So many different ones."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            port = random.randrange(FIRST, LAST)
            with suppress(OSError):  # somebody has it
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
    return found


def free_port() -> int:
    return free_ports(1)[0]
