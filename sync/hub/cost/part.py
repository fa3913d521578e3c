"""Market prices, tariffs and cost, put together."""

from collections.abc import Sequence
from typing import Any

from gateway.core.clock import Clock
from sync.hub.cost.costapi import CostApi
from sync.hub.cost.costpages import CostPages
from sync.hub.cost.costreport import CostReports
from sync.hub.cost.energy import RolledUpEnergy
from sync.hub.cost.tariffapi import TariffApi
from sync.hub.cost.tariffs import Tariffs
from sync.hub.people.acts import Acts
from sync.hub.prices.api import MarketPriceApi, Nodes
from sync.hub.prices.asking import Asker
from sync.hub.prices.fetching import EVERY_S, Fetching, areas_of
from sync.hub.prices.settings import PricesConfig
from sync.hub.prices.store import Prices
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.chores import Chore
from sync.hub.store.sql import Sql
from sync.hub.web.api import Route
from sync.hub.web.part import Part
from sync.hub.web.shell import Page


class Pricing(Part):
    def __init__(self, config: PricesConfig, sql: Sql, acts: Acts, nodes: Nodes, clock: Clock) -> None:
        """`nodes`: which of them a request for prices comes from."""
        prices, tariffs = Prices(sql), Tariffs(sql)
        self._fetching = Fetching(prices, areas_of(config, Asker()), config.backfill_days)
        areas = [area.name for area in config.areas]
        market = MarketPriceApi(prices, areas, self._fetching.troubles, tariffs, nodes, clock)
        tariff_api = TariffApi(tariffs, acts, areas)
        cost = CostApi(CostReports(RolledUpEnergy(sql, Rollups(sql)), tariffs, prices))
        self._apis = market, tariff_api, cost
        self._pages = CostPages(cost, tariffs, prices, areas)
        self._areas = areas

    def routes(self) -> Sequence[Route[Any, Any]]:
        return [route for api in self._apis for route in api.routes()]

    def pages(self) -> Sequence[Page[Any]]:
        return self._pages.pages()

    def chores(self) -> Sequence[Chore]:
        return (Chore("market prices", EVERY_S, self._fetching.work),) if self._areas else ()
