"""Host names to addresses, without holding anything up: a dead name server answers after half a minute."""

import asyncio
import contextlib
import ipaddress
import socket
import threading

from gateway.core.errors import DeviceError


async def address_of(host: str, port: int) -> str:
    """An address of `host`, which may be one itself. Raises DeviceError where it has none.

    The system's resolver blocks and cannot be cancelled. It gets a thread that nobody waits for:
    neither those who share the event loop's pool of threads nor the end of the process.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str] = loop.create_future()

    def tell(address: str, error: str) -> None:
        if found.done():
            return
        if error:
            found.set_exception(DeviceError(f"{host}: {error}", hint="check the name, or write an address"))
        else:
            found.set_result(address)

    def resolve() -> None:
        address = error = ""
        try:
            address = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
        except (OSError, UnicodeError) as problem:
            error = getattr(problem, "strerror", None) or str(problem)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, address, error)

    threading.Thread(target=resolve, name=f"resolve {host}", daemon=True).start()
    return await found
