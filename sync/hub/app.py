"""The hub as one aiohttp application: the door for batches, and the operator's page."""

from collections.abc import Iterable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.core.clock import Clock
from gateway.core.rollup import DAY_MS
from sync import carry, enrol, wire
from sync.hub.alerts.part import Alerting
from sync.hub.config import HubConfig
from sync.hub.cost.part import Pricing
from sync.hub.enrol.enrolment import NodesAtBroker
from sync.hub.enrol.hubaddress import HubAddress
from sync.hub.enrol.part import Coming
from sync.hub.enrol.registry import Registry
from sync.hub.fleet.commandapi import CommandApi
from sync.hub.fleet.fleet import Fleet
from sync.hub.fleet.part import FleetWork
from sync.hub.intake.answering import Answering
from sync.hub.intake.carry import CarryIn
from sync.hub.intake.compare import Compare
from sync.hub.intake.door import Door
from sync.hub.intake.ingest import Ingest
from sync.hub.intake.longpoll import LongPoll
from sync.hub.metrics import CountedDoor, Meters, Metrics
from sync.hub.people.acts import Acts
from sync.hub.people.part import Tenancy
from sync.hub.people.passwords import Passwords
from sync.hub.people.signin import PeopleSignIn
from sync.hub.reading.part import Looking
from sync.hub.ready import Ready, ready_of
from sync.hub.rollup.part import Care
from sync.hub.store.chores import Chores
from sync.hub.store.contract import Store
from sync.hub.web.api import Api, in_json
from sync.hub.web.describing import Describing
from sync.hub.web.part import Part
from sync.hub.web.shell import SIGN_IN, Shell
from sync.hub.web.tenants import Tenants

# Who is not signed in gets in here alone. The doors for nodes have secrets of their own; whether the process lives is
# no secret; nor are styles and scripts.
OPEN_PATHS = (
    wire.PATH, wire.COMMANDS_PATH, carry.PATH, enrol.PATH, "/healthz", "/readyz", SIGN_IN, "/api/v1/sign-in",
    "/api/v1/refresh",
    "/static", "/hub",
)  # fmt: skip
HSTS = "max-age=31536000"  # a year
DOOR = web.AppKey("door", CountedDoor)  # for other ways in
READY = web.AppKey("ready", Ready)  # for checks of what stands beside the application
FLEET = web.AppKey("fleet", Fleet)  # for a broker: its `tell`
REGISTRY = web.AppKey("registry", Registry)  # for a broker: which nodes may come in
SIGNED = web.AppKey("signed", PeopleSignIn)  # for those who make people
API = web.AppKey("api", Api)  # its routes
CHORES = web.AppKey("chores", Chores)  # to be run beside the application


def build_hub(
    config: HubConfig, store: Store, clock: Clock, static: Path, guards: Iterable[Middleware],
    passwords: Passwords | None = None, broker: NodesAtBroker | None = None, folder: Path = Path(),
) -> web.Application:  # fmt: skip
    """`static` is the folder of the site's style sheet and scripts; every request passes the `guards`; `broker`: where
    the hub may make its nodes users; files in `config` are relative to `folder`."""
    door, fleet, registry = Door(store, clock), Fleet(store.control, clock), Registry(store.sql, clock)
    door.handlers["heartbeat"] = fleet.heartbeat
    door.handlers["ledger"] = Compare(store, clock, config.retention.events_days * DAY_MS).handle
    meters = Meters(clock)
    counted = CountedDoor(door, meters)
    app = web.Application(client_max_size=wire.BODY_MAX, middlewares=[meters.times, *guards, in_json])
    signed = PeopleSignIn(
        config.people, store.sql, clock, passwords or Passwords(), secure=config.is_reached_by_tls
    )  # fmt: skip
    acts, tenants, poll = Acts(store.sql), Tenants(store.sql), LongPoll(fleet, registry, clock)
    api = Api(signed, tenants, clock)
    shell = Shell(api)
    app.middlewares.append(shell.not_there)

    alerting = Alerting(config.alerts, store.sql, tenants, acts, clock, folder, config.people.public_url)
    work = FleetWork(app, store, door, fleet, acts, clock)
    coming = Coming(store, registry, broker, fleet, poll, acts, clock, signed, HubAddress(config, folder))
    coming.add_to(app, door, config.nodes)
    door.listeners += (fleet.happened, alerting.watch.happened)
    parts: list[Part] = [
        Looking(app, store, door, clock),
        alerting,
        work,
        coming,
        Tenancy(app, store.sql, signed, shell, clock),
        Pricing(config.prices, store.sql, acts, Answering(registry, clock), clock),
        Care(store, config.retention, clock),
        Describing(lambda: api.routes, "1"),
    ]
    for part in parts:
        api.add(app, part.routes())
        shell.add(app, part.pages())
    api.add(app, CommandApi(fleet, store.control, acts).routes())
    chores = Chores(store.sql, clock, [chore for part in parts for chore in part.chores()])
    ready = ready_of(chores, store.sql, clock)
    app.add_routes(
        [
            web.post(wire.PATH, Ingest(counted, registry, clock).handle),
            web.post(carry.PATH, CarryIn(counted, registry, clock, signed).handle),
            web.get(wire.COMMANDS_PATH, poll.handle),
            web.get("/healthz", _healthz),
            web.get("/readyz", ready.handle),
            web.get("/metrics", Metrics(meters, alerting.alerts, chores, signed, config.metrics_token_sha256).handle),
            web.static("/static", static),
            web.static("/hub", Path(__file__).parent / "static"),
        ]
    )
    app[DOOR], app[FLEET], app[REGISTRY], app[SIGNED] = counted, fleet, registry, signed
    app[API], app[CHORES], app[READY] = api, chores, ready
    if config.is_reached_by_tls:
        app.on_response_prepare.append(_only_by_tls)
    return app


async def _only_by_tls(_: web.Request, response: web.StreamResponse) -> None:
    """Browsers that were here once come by TLS alone, whatever a link says."""
    response.headers["Strict-Transport-Security"] = HSTS


async def _healthz(request: web.Request) -> web.Response:
    """GET /healthz -> {"ok": true}: the process is alive."""
    return web.json_response({"ok": True})
