"""What every program of ours needs to run: jobs, a way to end them, and a server for its page."""

import asyncio
import contextlib
import errno
import logging
import resource
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.core.errors import HoldfastError

log = logging.getLogger(__name__)


@log.addFilter
def _is_ours(record: logging.LogRecord) -> bool:
    """What is no HTTP is answered 400 and not logged: anybody can send it again and again, and it quotes what came, as
    a secret in a header."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


@contextlib.asynccontextmanager
async def serve(
    app: web.Application, host: str, port: int, *, unpack: bool = True, tls: ssl.SSLContext | None = None,
    control: socket.socket | None = None,
) -> AsyncIterator[str]:  # fmt: skip
    """Serve `app`, at `control` too; yields its address. Raises HoldfastError where the port cannot be had.

    `unpack`: aiohttp unpacks bodies by their Content-Encoding; it takes gzip that was cut off for whole.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, auto_decompress=unpack, logger=log)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        busy = error.errno == errno.EADDRINUSE
        hint = "another program uses the port" if busy else "check that it is an address of this machine, and the port"
        raise HoldfastError(f"{host}:{port}: {error.strerror}", hint=hint) from error
    try:
        if control is not None:
            await web.SockSite(runner, control).start()
        yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"
    finally:
        await runner.cleanup()


def allow_connections() -> None:
    """As many as the system lets us have: the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Stop:
    """When to end, and whether to start again after that: SIGTERM and SIGINT end it for good."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._for_good = False
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        self._for_good = True
        self._asked.set()

    def restart(self) -> None:
        self._asked.set()

    def over(self) -> None:
        """What was to be done is done."""
        self._for_good = True
        self._asked.set()

    async def wait(self) -> None:
        await self._asked.wait()

    def starts_again(self) -> bool:
        """Whether it ended to start again; from now on it may be asked to end anew."""
        if not self._for_good:
            self._asked.clear()
        return not self._for_good


async def run_until(stop: Stop, jobs: Mapping[str, Coroutine[None, None, None]]) -> None:
    """Run the jobs, which run until cancelled, until `stop`; one that fails ends all, its error is raised."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(job, name=name) for name, job in jobs.items()]
        await stop.wait()
        for task in running:
            task.cancel()
