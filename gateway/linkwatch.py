"""Tells when a network link or a serial adapter is back, so that nobody waits for the next probe.

The kernel says it on two netlink sockets: routing messages and device events. Source: rtnetlink(7), netlink(7).
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Iterator

ROUTE, DEVICE_EVENTS = 0, 15  # netlink families
ROUTE_GROUPS = 0x1 | 0x10 | 0x100  # links, IPv4 and IPv6 addresses
NEW_LINK, NEW_ADDRESS = 16, 20
RUNNING = 0x40  # of an interface's flags: it is up and has its carrier
AGAIN_S = 10.0  # routers renew addresses again and again; each time is no reason to probe
SETTLE_S = 1.0  # addresses come in bursts, and a port gets its lasting name a moment after it appears

log = logging.getLogger(__name__)


async def watch(back: Callable[[], None]) -> None:
    """Call `back` shortly after a link comes up, an address is given or a serial port appears. Run until cancelled."""
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    sockets = list(_sockets())
    for listening, is_news in sockets:
        loop.add_reader(listening, _read, listening, is_news, news)
    try:
        while True:
            await news.wait()
            await asyncio.sleep(SETTLE_S)
            news.clear()
            back()
            await asyncio.sleep(AGAIN_S)
    finally:
        for listening, _ in sockets:
            loop.remove_reader(listening)
            listening.close()


def _sockets() -> Iterator[tuple[socket.socket, Callable[[bytes], bool]]]:
    families = ((ROUTE, ROUTE_GROUPS, network_is_back), (DEVICE_EVENTS, 1, port_is_back))
    for family, groups, is_news in families:
        try:
            listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, family)
            listening.bind((0, groups))
        except OSError as error:  # in some containers; then the next probe finds out
            log.info("links are not watched", extra={"why": str(error)})
            continue
        yield listening, is_news


def _read(listening: socket.socket, is_news: Callable[[bytes], bool], news: asyncio.Event) -> None:
    try:
        data = listening.recv(65536)
    except OSError:  # more came than the kernel kept for us: there was news enough
        news.set()
        return
    if is_news(data):
        news.set()


def network_is_back(data: bytes) -> bool:
    """Whether routing messages say that a link runs or an address was given. They come in the machine's byte order."""
    at = 0
    while at + 16 <= len(data):
        size = int.from_bytes(data[at : at + 4], sys.byteorder)
        kind = int.from_bytes(data[at + 4 : at + 6], sys.byteorder)
        flags = int.from_bytes(data[at + 24 : at + 28], sys.byteorder)
        if kind == NEW_ADDRESS or (kind == NEW_LINK and flags & RUNNING):
            return True
        at += max(16, (size + 3) // 4 * 4)
    return False


def port_is_back(data: bytes) -> bool:
    """Whether a device event says that a serial port was added."""
    return data.startswith(b"add@") and b"\0SUBSYSTEM=tty\0" in data
