"""Where the bare pipe posts to: takes everything, counts it, keeps nothing."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Sink:
    """Its address, and when (wall time in seconds) bodies of how many bytes came."""

    url: str
    posts: list[tuple[float, int]]

    def body_bytes(self, start: float, end: float) -> int:
        return sum(count for at, count in self.posts if start <= at < end)


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    posts: list[tuple[float, int]] = []

    async def take(request: web.Request) -> web.Response:
        posts.append((time.time(), len(await request.read())))
        return web.Response()

    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_post("/", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield Sink(f"http://127.0.0.1:{port}/", posts)
    finally:
        await runner.cleanup()
