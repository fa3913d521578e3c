"""The hub as one aiohttp application: the door for batches, and the operator's page."""

from collections.abc import Iterable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.core.clock import Clock
from gateway.core.rollup import DAY_MS
from sync import carry, enrol, wire
from sync.hub import retention, rolling
from sync.hub.actpages import ActPages
from sync.hub.acts import Acts
from sync.hub.alerting import Alerting
from sync.hub.answering import Answering
from sync.hub.api import Api, in_json
from sync.hub.carry import CarryIn
from sync.hub.chores import Chore, Chores
from sync.hub.coming import Coming
from sync.hub.commandapi import CommandApi
from sync.hub.compare import Compare
from sync.hub.config import HubConfig
from sync.hub.describing import Describing
from sync.hub.door import Door
from sync.hub.enrolment import NodesAtBroker
from sync.hub.fleet import Fleet
from sync.hub.fleetpage import FleetPages
from sync.hub.fleetwork import FleetWork
from sync.hub.ingest import Ingest
from sync.hub.longpoll import LongPoll
from sync.hub.metrics import CountedDoor, Meters, Metrics
from sync.hub.nodepage import NodePages
from sync.hub.passwords import Passwords
from sync.hub.peopleapi import PeopleApi
from sync.hub.peoplepages import PeoplePages
from sync.hub.pricing import add_pricing
from sync.hub.reading import reading_routes
from sync.hub.readingnodes import Nodes
from sync.hub.ready import Ready, ready_of
from sync.hub.registry import Registry
from sync.hub.retention import Retention
from sync.hub.rolling import Rolling
from sync.hub.rollups import Rollups
from sync.hub.shell import SIGN_IN, Shell
from sync.hub.signin import PeopleSignIn
from sync.hub.signinapi import SignInApi
from sync.hub.siteapi import SiteApi
from sync.hub.sitepages import SitePages
from sync.hub.sites import Sites
from sync.hub.sse import Streams
from sync.hub.store import Store
from sync.hub.tenants import Tenants

TIDY_S = 3600.0
# Who is not signed in gets in here alone. The doors for nodes have secrets of their own; whether the process lives is
# no secret; nor are styles and scripts.
OPEN_PATHS = (
    wire.PATH, wire.COMMANDS_PATH, carry.PATH, enrol.PATH, "/healthz", "/readyz", SIGN_IN, "/api/v1/sign-in",
    "/api/v1/refresh",
    "/static", "/hub",
)  # fmt: skip
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
    door, fleet = Door(store, clock), Fleet(store.control, clock)
    door.handlers["heartbeat"] = fleet.heartbeat
    door.listeners.append(fleet.happened)
    door.handlers["ledger"] = Compare(store, clock, config.retention.events_days * DAY_MS).handle
    registry = Registry(store.sql, clock)
    meters = Meters(clock)
    counted = CountedDoor(door, meters)
    ingest = Ingest(counted, registry, clock)
    app = web.Application(client_max_size=wire.BODY_MAX, middlewares=[meters.times, *guards, in_json])
    app.router.add_post(wire.PATH, ingest.handle)
    signed = PeopleSignIn(
        config.people, store.sql, clock, passwords or Passwords(), secure=config.is_reached_by_tls
    )  # fmt: skip
    app.router.add_post(carry.PATH, CarryIn(counted, registry, clock, signed).handle)
    poll = LongPoll(fleet, registry, clock)
    app.router.add_get(wire.COMMANDS_PATH, poll.handle)
    app.router.add_get("/healthz", _healthz)
    app[DOOR] = counted
    app[FLEET] = fleet
    app[SIGNED] = signed
    app[REGISTRY] = registry
    acts, tenants = Acts(store.sql), Tenants(store.sql)
    api = Api(signed, tenants, clock)
    shell = Shell(api)
    nodes, streams = Nodes(store.sql), Streams(clock)
    shell.add(app, (*FleetPages(nodes, Rollups(store.sql)).pages(), *NodePages(nodes, store).pages()))
    entrance = SignInApi(signed, acts, shell, clock)
    entrance.add_page(app)
    api.add(app, (*entrance.routes(), *CommandApi(fleet, store.control, acts).routes()))
    sites = Sites(store.sql)
    deeds = ActPages(acts)
    api.add(app, (*SiteApi(sites, tenants, acts).routes(), *PeopleApi(signed, sites, acts).routes(), *deeds.routes()))
    coming = Coming(store, registry, broker, fleet, poll, acts, clock, signed, config.people.public_url)
    coming.add_to(app, door, config.nodes)
    api.add(app, coming.routes())
    door.watchers.append(streams.ring)
    app.on_shutdown.append(streams.end)
    api.add(app, reading_routes(store.sql, nodes, streams, clock))
    work = FleetWork(store, door, fleet, acts, clock)
    api.add(app, work.routes())
    shell.add(app, (*work.pages(), *coming.pages()))
    app.on_shutdown.append(work.streams.end)
    alerting = Alerting(config.alerts, store.sql, clock, folder, config.people.public_url)
    door.listeners.append(alerting.watch.happened)
    api.add(app, alerting.routes(tenants, acts))
    shell.add(app, alerting.pages())
    shell.add(app, (*SitePages(sites).pages(), *PeoplePages(signed.people, sites).pages(), *deeds.pages()))
    describing = Describing(lambda: api.routes, "1")
    api.add(app, describing.routes())
    shell.add(app, describing.pages())
    app.add_routes([web.static("/static", static), web.static("/hub", Path(__file__).parent / "static")])
    app[API] = api
    chores = [
        *store.chores(),
        Chore("roll-ups", rolling.EVERY_S, Rolling(store.sql, clock).turn),
        Chore("retention", retention.EVERY_S, Retention(store.sql, clock, config.retention).turn),
        *work.chores(),
        Chore("sign-ins", TIDY_S, signed.tidy),
        *add_pricing(app, api, shell, config, store.sql, Answering(registry, clock), clock),
        *alerting.chores(),
    ]
    app[CHORES] = Chores(store.sql, clock, chores)
    app[READY] = ready_of(app[CHORES], store.sql, clock)
    metrics = Metrics(meters, alerting.alerts, app[CHORES], signed, config.metrics_token_sha256)
    app.add_routes([web.get("/readyz", app[READY].handle), web.get("/metrics", metrics.handle)])
    return app


async def _healthz(request: web.Request) -> web.Response:
    """GET /healthz -> {"ok": true}: the process is alive."""
    return web.json_response({"ok": True})
