"""A site with a meter at the grid, its readings in a real store, and the hub's pricing before it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.credential import digest
from gateway.core.model import Layout, Point, Record
from sync.hub.config import NodeConfig
from sync.hub.cost.part import Pricing
from sync.hub.enrol.registry import Registry
from sync.hub.intake.answering import Answering
from sync.hub.people.acts import Acts
from sync.hub.prices.settings import AreaConfig, PricesConfig
from sync.hub.store.contract import Store
from sync.hub.web.api import Api
from sync.hub.web.rights import Caller, Grant, Role
from sync.hub.web.shell import Shell
from sync.hub.web.tenants import Tenants
from tests.hub.clock import StoppedClock
from tests.hub.places import put_node, put_site
from tests.hub.signing import SignedIn
from tests.hub.stores import audit

SECRET = "a secret of the test"
ADMIN = Caller("anna", (Grant(Role.ADMIN, "mills"),))
MINUTE_MS = 60_000


def counter(key: str) -> Point:
    return Point(key, "u32", unit="kWh", kind="counter", quantity="energy", scale="0.001")


GRID = Layout("grid", "live", (counter("import_energy_total"), counter("export_energy_total")), role="grid")


def at(text: str, fold: int = 0, zone: str = "Europe/Warsaw") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


async def settle(store: Store) -> None:
    """Two organisations, a site each, the node of the first."""
    for site, organisation in (("lane", "mills"), ("far", "others")):
        await put_site(store.sql, site, organisation, timezone="Europe/Warsaw")
    await put_node(store.sql, "node", "lane")


def readings(
    times: Sequence[int], bought_w: Callable[[int], float], sold_w: Callable[[int], float], layout: Layout = GRID
) -> list[Record]:
    """Counters in Wh that count what flows from one time to the next."""
    bought, sold, made = 1_000_000.0, 500_000.0, []
    for n, ts in enumerate(times):
        if n:
            hours = (ts - times[n - 1]) / 3_600_000
            bought, sold = bought + bought_w(ts) * hours, sold + sold_w(ts) * hours
        made.append(Record(layout.id, ts, layout.rows.pack([round(bought), round(sold)])))
    return made


async def take(store: Store, records: Sequence[Record], layout: Layout = GRID) -> None:
    await store.take_layouts([layout], audit())
    await store.take_records(list(records), audit())


@asynccontextmanager
async def hub(store: Store, now: int, sign_in: SignedIn) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    clock, app = StoppedClock(now), web.Application()
    api = Api(sign_in, Tenants(store.sql), clock)
    areas = (AreaConfig(name="PL", provider="pse"), AreaConfig(name="PL2", provider="pse"))
    registry = Registry(store.sql, clock)
    await registry.take_file([NodeConfig(id="node", secret_sha256=digest(SECRET))])
    pricing = Pricing(PricesConfig(areas=areas), store.sql, Acts(store.sql), Answering(registry, clock), clock)
    api.add(app, pricing.routes())
    Shell(api).add(app, pricing.pages())
    async with TestClient(TestServer(app)) as client:
        yield client
