"""The hub as one aiohttp application: the door for batches, and the operator's page."""

from collections.abc import Iterable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.core.clock import Clock
from sync import carry, wire
from sync.hub.carry import CarryIn
from sync.hub.commandapi import CommandApi
from sync.hub.compare import Compare
from sync.hub.config import HubConfig
from sync.hub.door import Door
from sync.hub.fleet import Fleet, nodes
from sync.hub.ingest import Ingest
from sync.hub.longpoll import LongPoll
from sync.hub.pages import add_pages
from sync.hub.store import Store

# The doors for nodes have secrets of their own; whether the process lives is no secret.
OPEN_PATHS = (wire.PATH, wire.COMMANDS_PATH, carry.PATH, "/healthz")
DOOR = web.AppKey("door", Door)  # for other ways in
FLEET = web.AppKey("fleet", Fleet)  # for a broker: its `tell`


def build_hub(
    config: HubConfig, store: Store, clock: Clock, static: Path, guards: Iterable[Middleware]
) -> web.Application:
    """`static` is the folder of the pages' style sheet and scripts; every request passes the `guards`."""
    door, fleet = Door(store, clock), Fleet(store.control, clock)
    door.handlers["heartbeat"] = fleet.heartbeat
    door.listeners.append(fleet.happened)
    door.handlers["ledger"] = Compare(store, clock).handle
    secrets = {node.id: node.secret_sha256 for node in config.nodes}
    ingest = Ingest(door, secrets, clock)
    app = web.Application(client_max_size=wire.BODY_MAX, middlewares=guards)
    app.router.add_post(wire.PATH, ingest.handle)
    app.router.add_post(carry.PATH, CarryIn(door, secrets, clock).handle)
    app.router.add_get(wire.COMMANDS_PATH, LongPoll(fleet, secrets, clock).handle)
    app.router.add_get("/healthz", _healthz)
    app[DOOR] = door
    app[FLEET] = fleet
    CommandApi(fleet, store.control, config, clock).add_to(app)
    add_pages(app, lambda: nodes(store, clock.wall_ms()), clock.wall_ms, static)
    return app


async def _healthz(request: web.Request) -> web.Response:
    """GET /healthz -> {"ok": true}: the process is alive."""
    return web.json_response({"ok": True})
