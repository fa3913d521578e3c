"""GET /api/v1/market-prices: people by their sign-in, gateways by their secret; cheap to ask again."""

from decimal import Decimal

import pytest

from gateway.core.cost import Price
from gateway.core.localtime import QUARTER_MS
from sync import wire
from sync.hub.prices.store import Prices
from sync.hub.store.contract import Store
from sync.hub.web.rights import Caller, Grant, Role
from tests.hub.costing import SECRET, at, hub, settle
from tests.hub.signing import SignedIn

NOW = at("2026-11-21T12:00")
PATH = "/api/v1/market-prices"
NODE = {wire.NODE_ID: "node", wire.NODE_SECRET: SECRET}
VIEWER = Caller("vera", (Grant(Role.VIEWER, "mills", "lane"),))


@pytest.fixture
async def store(store: Store) -> Store:
    await settle(store)
    await put(store, at("2026-11-21T00:00"), 96, NOW - 5000)
    return store


async def put(store: Store, begin: int, count: int, fetched: int) -> None:
    of_day = [Price(begin + n * QUARTER_MS, 15, Decimal(n) / 10, "PLN") for n in range(count)]
    await Prices(store.sql).replace("PL", begin, begin + count * QUARTER_MS, of_day, fetched, "PSE RCE")


async def test_a_person_gets_prices_with_their_source_and_age(store: Store) -> None:
    async with hub(store, NOW, SignedIn(VIEWER)) as client:
        answer = await client.get(PATH, params={"area": "PL"})
        said = await answer.json()
    assert (said["area"], said["unit"], said["source"], said["fetched"]) == ("PL", "PLN/MWh", "PSE RCE", NOW - 5000)
    assert len(said["prices"]) == 96
    assert said["prices"][1] == {"ts": at("2026-11-21T00:15"), "minutes": 15, "value": "0.1"}


@pytest.mark.P11
async def test_nobody_gets_prices_without_a_credential(store: Store) -> None:
    async with hub(store, NOW, SignedIn(None)) as client:
        assert (await client.get(PATH, params={"area": "PL"})).status == 401
        for headers in ({wire.NODE_ID: "node"}, NODE | {wire.NODE_SECRET: "wrong"}, NODE | {wire.NODE_ID: "x"}):
            answer = await client.get(PATH, params={"area": "PL"}, headers=headers)
            assert (answer.status, await answer.json()) == (401, {"error": "unknown node or wrong secret"})


async def test_a_gateway_gets_the_prices_of_its_site(store: Store) -> None:
    sign_in = SignedIn(None)
    async with hub(store, NOW, sign_in) as client:
        answer = await client.get(PATH, headers=NODE)
        assert (answer.status, "has no price area" in await answer.text()) == (404, True)
        sign_in.is_now = Caller("anna", (Grant(Role.ADMIN, "mills", "lane"),))
        assert (await client.put("/api/v1/sites/lane/price-area", json={"area": "DE"})).status == 422
        assert (await client.put("/api/v1/sites/lane/price-area", json={"area": "PL"})).status == 200
        assert await (await client.get("/api/v1/sites/lane/price-area")).json() == {"area": "PL"}
        answer = await client.get(PATH, headers=NODE)
        assert len((await answer.json())["prices"]) == 96


async def test_who_has_the_prices_already_gets_no_body_until_they_change(store: Store) -> None:
    async with hub(store, NOW, SignedIn(None)) as client:
        first = await client.get(PATH, params={"area": "PL"}, headers=NODE)
        known = NODE | {"If-None-Match": first.headers["ETag"]}
        again = await client.get(PATH, params={"area": "PL"}, headers=known)
        assert (again.status, await again.read()) == (304, b"")
        await put(store, at("2026-11-22T00:00"), 96, NOW)
        newer = await client.get(PATH, params={"area": "PL"}, headers=known)
        assert (newer.status, len((await newer.json())["prices"])) == (200, 192)
        assert newer.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 400, "area: which one? There are PL, PL2"), ("area=DE", 404, "no prices of the area DE here"),
        ("area=PL&since=5&until=5", 400, "up to 62 days"), ("area=PL&since=5&until=1", 400, "up to 62 days"),
        ("area=PL&since=0&until=9007199254740000", 400, "up to 62 days"), ("area=PL&since=-1", 400, "since"),
        ("area=PL&since=x", 400, "since"), ("area=P%20L", 400, "area"), ("area=PL&foo=1", 400, "foo"),
        ("area=PL&until=1&since=99999999999999999999", 400, "since"),
    ],
)  # fmt: skip
async def test_odd_questions_get_words(store: Store, query: str, status: int, said: str) -> None:
    async with hub(store, NOW, SignedIn(VIEWER)) as client:
        answer = await client.get(f"{PATH}?{query}")
        assert (answer.status, said in (await answer.json())["error"]) == (status, True), await answer.text()


async def test_an_area_without_prices_yet_is_empty(store: Store) -> None:
    async with hub(store, NOW, SignedIn(VIEWER)) as client:
        said = await (await client.get(f"{PATH}?area=PL2")).json()
        assert (said["prices"], said["fetched"], said["currency"]) == ([], 0, "")
