"""Ways to bytes: a serial port, TCP, UDP. Opening turns each library's errors into ours."""

import asyncio
import contextlib
import errno
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import serial
import serial_asyncio

from drivers.bus.resolve import address_of
from drivers.bus.timing import character_s, silence_s
from gateway.core.errors import DeviceError

CONNECT_S = 5.0
BY_ID = Path("/dev/serial/by-id")
POWER_HINT = "check its power, cable and address"


class Transport(Protocol):
    """What is open: bytes go out here, and come in at the protocol that opened it."""

    def write(self, data: bytes) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...


class Channel(Protocol):
    """Something that can be opened, again and again."""

    @property
    def name(self) -> str: ...
    @property
    def character_s(self) -> float:
        """How long a byte takes; 0 where that is nothing."""
        ...

    @property
    def silence_s(self) -> float:
        """What must part two frames."""
        ...

    async def open(self, protocol: asyncio.Protocol) -> Transport:
        """Raises DeviceError."""
        ...


class TcpChannel:
    """A TCP endpoint; `connect_s` is how long it may take to connect."""

    character_s = 0.0
    silence_s = 0.0

    def __init__(self, host: str, port: int, connect_s: float = CONNECT_S) -> None:
        self.name = f"{host}:{port}"
        self._address = host, port
        self._connect_s = connect_s

    async def open(self, protocol: asyncio.Protocol) -> Transport:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                host, port = self._address
                transport, _ = await loop.create_connection(lambda: protocol, await address_of(host, port), port)
        except (OSError, TimeoutError) as error:
            raise DeviceError(f"{self.name}: {_in_words(error, self._connect_s)}", hint=POWER_HINT) from error
        return transport


class UdpChannel:
    """A UDP endpoint: each write is a datagram."""

    character_s = 0.0
    silence_s = 0.0

    def __init__(self, host: str, port: int) -> None:
        self.name = f"{host}:{port}/udp"
        self._address = host, port

    async def open(self, protocol: asyncio.Protocol) -> Transport:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                host, port = self._address
                there = await address_of(host, port), port
                transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(protocol), remote_addr=there)
        except (OSError, TimeoutError) as error:
            raise DeviceError(f"{self.name}: {_in_words(error)}", hint=POWER_HINT) from error
        return _DatagramTransport(transport)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)


class _DatagramTransport:
    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport
        self.abort: Callable[[], None] = transport.abort
        self.is_closing: Callable[[], bool] = transport.is_closing

    def write(self, data: bytes) -> None:
        self._transport.sendto(data)


class SerialChannel:
    """A serial port, opened for us alone; 8 data bits."""

    def __init__(self, port: str, baud: int, parity: str = "none", stop_bits: int = 1) -> None:
        self.name = Path(port).name
        self.character_s = character_s(baud, parity, stop_bits)
        self.silence_s = silence_s(baud, self.character_s)
        self._settings: dict[str, Any] = {
            "url": port, "baudrate": baud, "parity": parity[0].upper(), "stopbits": stop_bits, "exclusive": True,
        }  # fmt: skip

    async def open(self, protocol: asyncio.Protocol) -> Transport:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # a transport that was aborted just now still holds the port until the loop turns
        try:
            transport, _ = await serial_asyncio.create_serial_connection(loop, lambda: protocol, **self._settings)
        except (OSError, ValueError, serial.SerialException, termios.error) as error:
            port = self._settings["url"]
            raise DeviceError(f"{port}: {_serial_words(port, error)}", hint=_ports_hint()) from error
        with contextlib.suppress(OSError, ValueError):  # pyserial's ValueError: this driver has no such mode
            transport.serial.set_low_latency_mode(True)  # FTDI adapters else wait 16 ms before they deliver
        return cast(Transport, transport)


def serial_ports() -> list[str]:
    """The adapters of this machine by the names that stay, whichever socket they are put into."""
    return sorted(str(port) for port in BY_ID.iterdir()) if BY_ID.is_dir() else []


def lasting_name(port: str, folder: Path = BY_ID) -> str:
    """The name of `port` that stays with its adapter; empty where there is none, or it is that already."""
    target = Path(port).resolve()
    named = (
        (str(name) for name in sorted(folder.iterdir()) if name.resolve() == target) if folder.is_dir() else iter(())
    )
    return "" if Path(port).parent == folder else next(named, "")


def _ports_hint() -> str:
    ports = serial_ports()
    return f"there are {', '.join(ports)}" if ports else "no USB serial adapter is plugged in"


def _serial_words(port: str, error: Exception) -> str:
    if not Path(port).exists():
        return "there is no such port"
    if isinstance(error, termios.error):
        return "it does not take this baud rate, parity or number of stop bits"
    code = getattr(error, "errno", None)
    if code == errno.EACCES:
        return "no right to open it (the user must be in the group dialout)"
    if code in (errno.EAGAIN, errno.EBUSY) or "exclusively lock" in str(error):
        return "another program has it open"
    return str(error)


def _in_words(error: BaseException, connect_s: float = CONNECT_S) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {connect_s:g} s"
    code = getattr(error, "errno", None)
    if code == errno.ECONNREFUSED:
        return "refuses the connection"
    return getattr(error, "strerror", None) or str(error)
