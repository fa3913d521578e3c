"""GET /api/v1/market-prices: for people, and for gateways, which ask often and mostly get a 304."""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.rollup import DAY_MS
from sync.hub.intake.door import Refused
from sync.hub.prices.settings import AreaName
from sync.hub.prices.store import KeptPrice, Prices
from sync.hub.web.api import ApiError, Call, Nothing, Route, converted
from sync.hub.web.paging import Ms
from sync.hub.web.rights import Role

PATH = "/api/v1/market-prices"
USUAL_MS = (DAY_MS, 2 * DAY_MS)  # before and after now
SPAN_MAX_MS = 62 * DAY_MS


class PricesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """area: a gateway may leave it out, and gets its site's; without times from a day ago up to the day after
    tomorrow."""

    area: AreaName | None = None
    since: Ms | None = None
    until: Ms | None = None


class MarketPrice(msgspec.Struct, frozen=True):
    ts: int
    minutes: int
    value: Decimal  # currency per MWh


class MarketPrices(msgspec.Struct, frozen=True):
    """By time. fetched: when the newest of them were, milliseconds since 1970 UTC; 0 where there are none.

    trouble: why newer ones did not come, where they did not.
    """

    area: str
    currency: str
    unit: str
    source: str
    fetched: int
    trouble: str
    prices: list[MarketPrice]


class Sites(Protocol):
    """Whose prices hold where."""

    async def area_of_node(self, node: str) -> str:
        """Of the site that the node stands at; empty: none is set. Raises StorageError."""
        ...


class Nodes(Protocol):
    """Who of the gateways asks."""

    async def admitted(self, request: web.Request) -> str:
        """Its id. Raises Refused, StorageError."""
        ...


class MarketPriceApi:
    """`areas`: those that prices are fetched for; `troubles`: see `Fetching.troubles`."""

    def __init__(
        self, prices: Prices, areas: Sequence[str], troubles: Mapping[str, str], sites: Sites, nodes: Nodes,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._prices = prices
        self._areas = areas
        self._troubles = troubles
        self._sites = sites
        self._nodes = nodes
        self._clock = clock

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path=PATH, summary="Day-ahead market prices of an area, by time",
                right=Role.VIEWER, handle=self._person, query=PricesQuery, body=Nothing, answer=MarketPrices,
                node=self.node,
            ),
        )  # fmt: skip

    async def _person(self, call: Call[PricesQuery, Nothing]) -> web.Response:
        if call.query.area is None:
            raise ApiError(400, f"area: which one? There are {', '.join(self._areas) or 'none'}")
        return await self._answer(call.request, call.query.area, call.query, call.now)

    async def node(self, request: web.Request) -> web.Response:
        """What a gateway gets; it is told the same where it is not known as where its secret is wrong. Raises ApiError,
        StorageError."""
        try:
            node = await self._nodes.admitted(request)
        except Refused as refused:
            raise ApiError(refused.status, str(refused)) from refused
        query = converted(request.query, PricesQuery)
        area = query.area or await self._sites.area_of_node(node)
        if not area:
            raise ApiError(404, "the gateway's site has no price area; set one at the hub, or ask with area=")
        return await self._answer(request, area, query, self._clock.wall_ms())

    async def _answer(self, request: web.Request, area: str, query: PricesQuery, now: int) -> web.Response:
        if area not in self._areas:
            raise ApiError(404, f"no prices of the area {area} here; there are {', '.join(self._areas) or 'none'}")
        since, until = _span(query, now)
        body = msgspec.json.encode(self.view(area, await self._prices.between(area, since, until)))
        tag = hashlib.sha256(body).hexdigest()[:32]
        headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
        known = request.if_none_match or ()
        if any(one.value in (tag, "*") for one in known):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/json", headers=headers)

    def view(self, area: str, kept: Sequence[KeptPrice]) -> MarketPrices:
        newest = max(kept, key=lambda one: one.fetched, default=None)
        currency = newest.price.currency if newest else ""
        return MarketPrices(
            area, currency, f"{currency}/MWh" if currency else "", newest.source if newest else "",
            newest.fetched if newest else 0, self._troubles.get(area, ""),
            [MarketPrice(one.price.ts, one.price.minutes, one.price.value) for one in kept],
        )  # fmt: skip


def _span(query: PricesQuery, now: int) -> tuple[int, int]:
    """Raises ApiError."""
    # By whole days, so that the answer stays the same from one question to the next.
    today = now // DAY_MS * DAY_MS
    since = today - USUAL_MS[0] if query.since is None else query.since
    until = max(since + 1, today + USUAL_MS[1] + DAY_MS) if query.until is None else query.until
    if not since < until <= since + SPAN_MAX_MS:
        raise ApiError(400, f"since and until: expected a time of up to 62 days, got {since} to {until}")
    return since, until
