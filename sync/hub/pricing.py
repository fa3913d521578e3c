"""Market prices, tariffs and cost put together: routes, pages and the chore that fetches."""

from aiohttp import web

from gateway.core.clock import Clock
from sync.hub.acts import Acts
from sync.hub.api import Api
from sync.hub.chores import Chore
from sync.hub.config import HubConfig
from sync.hub.costapi import CostApi
from sync.hub.costpages import CostPages
from sync.hub.costreport import CostReports
from sync.hub.energy import RolledUpEnergy
from sync.hub.prices.api import MarketPriceApi, Nodes
from sync.hub.prices.asking import Asker
from sync.hub.prices.fetching import EVERY_S, Fetching, areas_of
from sync.hub.prices.store import Prices
from sync.hub.rollups import Rollups
from sync.hub.shell import Shell
from sync.hub.sql import Sql
from sync.hub.tariffapi import TariffApi
from sync.hub.tariffs import Tariffs


def add_pricing(
    app: web.Application, api: Api, shell: Shell, config: HubConfig, sql: Sql, nodes: Nodes, clock: Clock
) -> list[Chore]:
    """Add all to the application; what it needs done from time to time."""
    prices, tariffs = Prices(sql), Tariffs(sql)
    fetching = Fetching(prices, areas_of(config.prices, Asker()), config.prices.backfill_days)
    areas = [area.name for area in config.prices.areas]
    market = MarketPriceApi(prices, areas, fetching.troubles, tariffs, nodes, clock)
    tariff_api = TariffApi(tariffs, Acts(sql), areas)
    cost = CostApi(CostReports(RolledUpEnergy(sql, Rollups(sql)), tariffs, prices))
    api.add(app, (*market.routes(), *tariff_api.routes(), *cost.routes()))
    shell.add(app, CostPages(cost, tariff_api, tariffs, prices, areas).pages())
    return [Chore("market prices", EVERY_S, fetching.work)] if areas else []
