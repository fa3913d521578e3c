"""The hub as one aiohttp application: the door for batches, and the operator's page."""

from collections.abc import Iterable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.core.clock import Clock
from gateway.core.rollup import DAY_MS
from sync import carry, wire
from sync.hub import retention, rolling
from sync.hub.api import Api
from sync.hub.carry import CarryIn
from sync.hub.chores import Chore, Chores
from sync.hub.commandapi import CommandApi
from sync.hub.compare import Compare
from sync.hub.config import HubConfig
from sync.hub.door import Door
from sync.hub.fleet import Fleet, nodes
from sync.hub.ingest import Ingest
from sync.hub.longpoll import LongPoll
from sync.hub.pages import FleetPages
from sync.hub.retention import Retention
from sync.hub.rights import Caller, Grant, Role
from sync.hub.rolling import Rolling
from sync.hub.shell import Shell
from sync.hub.store import Store
from sync.hub.tenants import Tenants

# The doors for nodes have secrets of their own; whether the process lives is no secret.
OPEN_PATHS = (wire.PATH, wire.COMMANDS_PATH, carry.PATH, "/healthz")
DOOR = web.AppKey("door", Door)  # for other ways in
FLEET = web.AppKey("fleet", Fleet)  # for a broker: its `tell`
CHORES = web.AppKey("chores", Chores)  # to be run beside the application


def build_hub(
    config: HubConfig, store: Store, clock: Clock, static: Path, guards: Iterable[Middleware]
) -> web.Application:
    """`static` is the folder of the site's style sheet and scripts; every request passes the `guards`."""
    door, fleet = Door(store, clock), Fleet(store.control, clock)
    door.handlers["heartbeat"] = fleet.heartbeat
    door.listeners.append(fleet.happened)
    door.handlers["ledger"] = Compare(store, clock, config.retention.events_days * DAY_MS).handle
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
    api = Api(Everybody(), Tenants(store.sql), clock)
    shell = Shell(api)
    pages = FleetPages(lambda now: nodes(store, now))
    api.add(app, pages.routes())
    shell.add(app, pages.pages())
    app.router.add_static("/static", static)
    app.router.add_static("/hub", Path(__file__).parent / "static")
    chores = [
        *store.chores(),
        Chore("roll-ups", rolling.EVERY_S, Rolling(store.sql, clock).turn),
        Chore("retention", retention.EVERY_S, Retention(store.sql, clock, config.retention).turn),
    ]
    app[CHORES] = Chores(store.sql, clock, chores)
    return app


class Everybody:
    """Whoever passed the guards may do all."""

    async def caller(self, request: web.Request) -> Caller:
        return Caller("operator", (Grant(Role.ADMIN),))


async def _healthz(request: web.Request) -> web.Response:
    """GET /healthz -> {"ok": true}: the process is alive."""
    return web.json_response({"ok": True})
