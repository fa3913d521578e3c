"""A connection that is opened when it is needed, and what is left of the one before."""

import asyncio
from dataclasses import dataclass, field

import pytest

from drivers.bus.channel import Transport
from drivers.bus.connection import UNANSWERED_MAX, Connection
from gateway.core.errors import DeviceError


@dataclass
class Opened:
    """A transport, and the protocol that listens to it."""

    protocol: asyncio.Protocol
    aborted: bool = False

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


@dataclass
class Door:
    """A Channel (drivers/bus/channel.py) that remembers what it opened."""

    name: str = "door"
    character_s: float = 0
    silence_s: float = 0
    opened: list[Opened] = field(default_factory=list)

    async def open(self, protocol: asyncio.Protocol) -> Transport:
        await asyncio.sleep(0)
        self.opened.append(Opened(protocol))
        return self.opened[-1]


class Heard:
    def __init__(self, *, settle_s: float = 0) -> None:
        self.door = Door()
        self.data: list[bytes] = []
        self.lost = 0
        self.connection = Connection(self.door, self.data.append, self._lost, settle_s=settle_s)

    def _lost(self) -> None:
        self.lost += 1


async def test_many_who_need_it_at_once_open_it_once() -> None:
    heard = Heard()
    await asyncio.gather(*(heard.connection.opened() for _ in range(5)))
    assert len(heard.door.opened) == 1


async def test_what_a_connection_says_that_was_given_up_is_passed_over() -> None:
    heard = Heard()
    await heard.connection.opened()
    heard.connection.drop()
    new = await heard.connection.opened()
    old = heard.door.opened[0].protocol
    old.data_received(b"late")
    old.connection_lost(None)
    assert heard.data == []
    assert heard.lost == 0
    assert await heard.connection.opened() is new


async def test_one_that_ends_by_itself_is_told_and_opened_anew() -> None:
    heard = Heard()
    await heard.connection.opened()
    heard.door.opened[0].protocol.data_received(b"before")
    heard.door.opened[0].protocol.connection_lost(None)
    assert (heard.data, heard.lost, heard.connection.statistics.disconnects) == ([b"before"], 1, 1)
    await heard.connection.opened()
    assert len(heard.door.opened) == 2


async def test_one_that_ends_while_it_settles_is_an_error() -> None:
    heard = Heard(settle_s=0.05)
    opening = asyncio.ensure_future(heard.connection.opened())
    while not heard.door.opened:
        await asyncio.sleep(0)
    heard.door.opened[0].protocol.connection_lost(None)
    with pytest.raises(DeviceError, match="closed the connection"):
        await opening


async def test_one_whose_opening_is_cancelled_is_not_left_open() -> None:
    heard = Heard(settle_s=1000)
    opening = asyncio.ensure_future(heard.connection.opened())
    while not heard.door.opened:
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert heard.door.opened[0].aborted


async def test_it_is_given_up_after_so_many_timeouts_without_a_byte() -> None:
    heard = Heard()
    await heard.connection.opened()
    for _ in range(UNANSWERED_MAX - 1):
        assert not heard.connection.unanswered()
    heard.door.opened[0].protocol.data_received(b"x")
    assert [heard.connection.unanswered() for _ in range(UNANSWERED_MAX)] == [False] * (UNANSWERED_MAX - 1) + [True]
    assert heard.door.opened[0].aborted
