"""A hub that takes everything and keeps nothing: what bringing bytes to a hub costs at least."""

import asyncio
from argparse import ArgumentParser

import msgspec
from aiohttp import web

from sync import wire


async def take(request: web.Request) -> web.Response:
    """POST /api/v1/ingest -> what a hub says that has taken the batch."""
    await request.read()
    return web.Response(
        body=msgspec.json.encode(wire.Answer(request.headers[wire.CURSOR])), content_type="application/json"
    )


async def serve(port: int) -> None:
    """Run until SIGTERM."""
    application = web.Application(client_max_size=wire.BODY_MAX)
    application.router.add_post(wire.PATH, take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    asyncio.run(serve(parser.parse_args().port))
