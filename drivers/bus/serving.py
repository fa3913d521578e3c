"""A TCP server whose connections end with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from gateway.core.errors import ConfigError

LOOPBACK = "127.0.0.1"  # for what has no credentials: this machine only
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handle: Handler, host: str = LOOPBACK, port: int = 0) -> AsyncIterator[int]:
    """Call `handle` for each connection; yields the port. At the end connections are cut and handlers awaited.

    Raises ConfigError where the port cannot be had.
    """
    open_now: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        open_now[task] = writer
        try:
            with contextlib.suppress(ConnectionError):
                await handle(reader, writer)
        finally:
            writer.close()
            del open_now[task]

    try:
        server = await asyncio.start_server(serve, host, port)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another port") from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in open_now.values():
            writer.transport.abort()
        await asyncio.gather(*(task for task in open_now if task), return_exceptions=True)
