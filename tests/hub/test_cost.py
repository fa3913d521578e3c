"""What a site's energy costs, from readings in the store to the answer; on both stores."""

import csv
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest

from gateway.core.cost import Price
from gateway.core.localtime import QUARTER_MS
from gateway.core.model import Layout, Record
from sync.hub.cost.energy import Meter, meters_of
from sync.hub.people.sites import Sites
from sync.hub.prices.store import Prices
from sync.hub.store.contract import Store
from sync.hub.web.rights import Caller, Grant, Role
from tests.hub.costing import ADMIN, GRID, MINUTE_MS, at, counter, hub, readings, settle, take
from tests.hub.signing import SignedIn

HOUR_MS = 3_600_000
NOW = at("2026-11-21T12:00")
TARIFF = """
name: Two zones
currency: PLN
timezone: Europe/Warsaw
vat: 23
versions:
  - from: 2026-01-01
    import:
      - name: Energy
        periods:
          - {name: night, price: "0.40", when: [{times: ["22:00-06:00"]}]}
          - {name: day, price: "0.90"}
    export: [{name: Sold, market: {floor: "0"}}]
    fixed: [{name: Subscription, per: month, price: "30"}]
"""


@pytest.fixture
async def store(store: Store) -> Store:
    await settle(store)
    return store


async def given(client: Any, text: str = TARIFF, since: str = "2026-01-01") -> str:
    """The id of a tariff that the site has."""
    answer = await client.post("/api/v1/tariffs", json={"organisation": "mills", "text": text})
    assert answer.status == 201, await answer.text()
    tariff: str = (await answer.json())["id"]
    answer = await client.put(f"/api/v1/sites/lane/tariffs/{since}", json={"tariff": tariff})
    assert answer.status == 200, await answer.text()
    return tariff


async def cost(client: Any, query: str = "since=2026-11-20&until=2026-11-21&by=day") -> dict[str, Any]:
    answer = await client.get(f"/api/v1/sites/lane/cost?{query}")
    assert answer.status == 200, await answer.text()
    report: dict[str, Any] = await answer.json()
    return report


def minutes(begin: str, end: str) -> list[int]:
    return list(range(at(begin), at(end) + 1, MINUTE_MS))


async def test_a_day_costs_what_its_counters_say(store: Store) -> None:
    times = minutes("2026-11-19T23:00", "2026-11-21T01:00")
    await take(store, readings(times, lambda ts: 1200.0, lambda ts: 600.0 if ts > at("2026-11-20T12:00") else 0.0))
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        await given(client)
        assert (await client.put("/api/v1/sites/lane/price-area", json={"area": "PL"})).status == 200
        of_day = [Price(at("2026-11-20T12:00") + n * QUARTER_MS, 15, Decimal(300), "PLN") for n in range(48)]
        await Prices(store.sql).replace("PL", at("2026-11-20T00:00"), at("2026-11-21T00:00"), of_day, NOW, "PSE RCE")
        report = await cost(client)
    lines = {line["period"] or line["component"]: line for line in report["lines"]}
    # 1.2 kW for 8 h at 0.40 and for 16 h at 0.90; 0.6 kW for 12 h at 0.30; a day of November's 30
    assert Decimal(lines["night"]["kwh"]) == pytest.approx(Decimal("9.6"), abs=Decimal("0.03"))
    assert Decimal(lines["day"]["net"]) == pytest.approx(Decimal("17.28"), abs=Decimal("0.03"))
    assert Decimal(lines["Sold"]["gross"]) == pytest.approx(Decimal("-2.16"), abs=Decimal("0.01"))
    assert (lines["Subscription"]["net"], lines["Subscription"]["gross"]) == ("1.000000", "1.230000")
    assert Decimal(report["gross"]) == sum(Decimal(line["gross"]) for line in report["lines"])
    assert Decimal(report["cost"]) - Decimal(report["income"]) == Decimal(report["gross"])
    assert (report["gaps"], report["not_billed"], report["devices"]) == ([], [], ["grid"])


async def test_what_was_counted_without_readings_is_spread_evenly_and_told(store: Store) -> None:
    times = [ts for ts in minutes("2026-11-19T23:00", "2026-11-21T01:00")
             if not at("2026-11-20T20:00") < ts < at("2026-11-21T00:00")]  # fmt: skip
    await take(store, readings(times, lambda ts: 1000.0, lambda ts: 0.0))
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        await given(client)
        report = await cost(client)
    (gap, _) = report["gaps"]
    assert (gap["way"], gap["ts"], gap["until"]) == ("import", at("2026-11-20T20:00"), at("2026-11-21T00:00"))
    assert Decimal(gap["kwh"]) == pytest.approx(Decimal(4), abs=Decimal("0.02"))
    kwh = {line["period"]: Decimal(line["kwh"] or 0) for line in report["lines"]}
    assert kwh["night"] == pytest.approx(Decimal(8), abs=Decimal("0.05"))  # two of the four hours are night's
    assert kwh["day"] == pytest.approx(Decimal(16), abs=Decimal("0.05"))


async def test_what_nobody_knows_is_not_billed_and_told(store: Store) -> None:
    await take(store, readings(minutes("2026-11-20T06:00", "2026-11-20T12:00"), lambda ts: 1000.0, lambda ts: 0.0))
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        await given(client)
        report = await cost(client)
    told = [(gap["ts"], gap["until"], gap["kwh"]) for gap in report["gaps"] if gap["way"] == "import"]
    assert told == [
        (at("2026-11-20T00:00"), at("2026-11-20T06:00"), None),
        (at("2026-11-20T12:00"), at("2026-11-21T00:00"), None),
    ]


async def test_a_sale_without_a_market_price_is_told(store: Store) -> None:
    await take(store, readings(minutes("2026-11-19T23:00", "2026-11-21T00:00"), lambda ts: 0.0, lambda ts: 1000.0))
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        await given(client)
        (left,) = (await cost(client))["not_billed"]
        assert (left["component"], left["why"]) == ("Sold", "no price")
        assert (left["ts"], left["until"]) == (at("2026-11-20T00:00"), at("2026-11-21T00:00"))


async def test_a_site_changes_its_tariff_on_a_day(store: Store) -> None:
    times = list(range(at("2026-11-01T00:00"), at("2026-11-21T00:00") + 1, HOUR_MS // 4))
    await take(store, readings(times, lambda ts: 1000.0, lambda ts: 0.0))
    flat = TARIFF.replace("Two zones", "Flat")
    flat = flat[: flat.index("      - name: Energy")] + "      - {name: All, price: 1}\n"
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        await given(client, since="2026-11-05")
        await given(client, flat, since="2026-11-11")
        report = await cost(client, "since=2026-11-01&until=2026-12-01&by=month")
    kwh = {(line["tariff"], line["period"]): Decimal(line["kwh"] or 0) for line in report["lines"] if line["device"]}
    assert kwh[("Two zones", "night")] == pytest.approx(Decimal(48), abs=Decimal("0.3"))
    assert kwh[("Flat", "")] == pytest.approx(Decimal(240), abs=Decimal("0.5"))
    (before,) = report["not_billed"]
    assert (before["why"], before["until"]) == ("no tariff yet", at("2026-11-05T00:00"))
    standing = [line["net"] for line in report["lines"] if line["way"] == "fixed"]
    assert standing == ["6.000000"]  # six days of the first


async def test_the_long_day_of_autumn_is_whole(store: Store) -> None:
    times = list(range(at("2026-10-24T22:00"), at("2026-10-26T02:00") + 1, MINUTE_MS))
    await take(store, readings(times, lambda ts: 1000.0, lambda ts: 0.0))
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        await given(client)
        report = await cost(client, "since=2026-10-25&until=2026-10-26&by=day")
    kwh = {line["period"]: Decimal(line["kwh"] or 0) for line in report["lines"] if line["device"]}
    assert kwh["night"] == pytest.approx(Decimal(9), abs=Decimal("0.02"))
    assert kwh["day"] == pytest.approx(Decimal(16), abs=Decimal("0.02"))


async def test_the_report_as_csv_has_the_same_lines_and_no_formulas(store: Store) -> None:
    layout = Layout("=cmd|grid", "live", GRID.points, role="grid")
    await take(
        store, readings(minutes("2026-11-20T06:00", "2026-11-20T12:00"), lambda ts: 1e3, lambda ts: 0, layout), layout
    )
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        await given(client)
        report = await cost(client)
        answer = await client.get("/api/v1/sites/lane/cost?since=2026-11-20&until=2026-11-21&by=day&format=csv")
        assert answer.content_type == "text/csv"
        rows = list(csv.DictReader(StringIO(await answer.text())))
    lines = [row for row in rows if row["way"] in ("import", "export", "fixed", "power")]
    assert [row["gross"] for row in lines] == [line["gross"] for line in report["lines"]]
    assert {row["device"] for row in lines} == {"'=cmd|grid", ""}
    assert sum(row["way"] == "gap" for row in rows) == len(report["gaps"]) == 4


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 400, "since"), ("since=2026-11-20&until=2026-11-20", 400, "expected 1 to 400 days"),
        ("since=2026-11-20&until=2026-11-01", 400, "expected 1 to 400 days"),
        ("since=2020-01-01&until=2026-11-01", 400, "expected 1 to 400 days"),
        ("since=0001-01-01&until=0001-01-02", 400, "expected"), ("since=yesterday&until=2026-11-01", 400, "since"),
        ("since=2026-11-20&until=2026-11-21&by=week", 400, "by"),
        ("since=2026-11-20&until=2026-11-21&device=oven", 409, "no meter oven at this site; there are grid"),
    ],
)  # fmt: skip
async def test_odd_questions_are_answered_with_words(store: Store, query: str, status: int, said: str) -> None:
    await take(store, readings([NOW - HOUR_MS, NOW], lambda ts: 0.0, lambda ts: 0.0))
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        await given(client)
        answer = await client.get(f"/api/v1/sites/lane/cost?{query}")
        assert (answer.status, said in (await answer.json())["error"]) == (status, True)


async def test_a_site_without_tariff_or_meter_says_so(store: Store) -> None:
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        answer = await client.get("/api/v1/sites/lane/cost?since=2026-11-20&until=2026-11-21")
        assert (answer.status, "has no tariff" in await answer.text()) == (409, True)
        await given(client)
        answer = await client.get("/api/v1/sites/lane/cost?since=2026-11-20&until=2026-11-21")
        assert (answer.status, "counts energy" in await answer.text()) == (409, True)


async def test_tariffs_of_others_are_not_there(store: Store) -> None:
    sign_in = SignedIn(ADMIN)
    async with hub(store, NOW, sign_in) as client:
        tariff = await given(client)
        sign_in.is_now = Caller("otto", (Grant(Role.ADMIN, "others"),))
        for method, path, body in (
            ("GET", f"/api/v1/tariffs/{tariff}", None), ("PUT", f"/api/v1/tariffs/{tariff}", {"text": TARIFF}),
            ("DELETE", f"/api/v1/tariffs/{tariff}", None), ("GET", "/api/v1/sites/lane/tariffs", None),
            ("POST", "/api/v1/tariffs", {"organisation": "mills", "text": TARIFF}),
            ("GET", "/api/v1/sites/lane/cost?since=2026-11-20&until=2026-11-21", None),
            ("PUT", "/api/v1/sites/lane/price-area", {"area": "PL"}),
        ):  # fmt: skip
            answer = await client.request(method, path, json=body)
            nothing = await client.request(method, path.replace(tariff, "nothing").replace("lane", "none"), json=body)
            assert answer.status == 404, (method, path)
            assert method == "POST" or await answer.text() == await nothing.text()
        assert (await (await client.get("/api/v1/tariffs")).json())["items"] == []
        answer = await client.put("/api/v1/sites/far/tariffs/2026-01-01", json={"tariff": tariff})
        assert answer.status == 422


async def test_only_admins_of_the_organisation_write_tariffs(store: Store) -> None:
    sign_in = SignedIn(ADMIN)
    async with hub(store, NOW, sign_in) as client:
        tariff = await given(client)
        for grant in (Grant(Role.OPERATOR, "mills"), Grant(Role.ADMIN, "mills", "lane"), Grant(Role.VIEWER)):
            sign_in.is_now = Caller("olga", (grant,))
            assert (await client.put(f"/api/v1/tariffs/{tariff}", json={"text": TARIFF})).status == 403
            assert (await client.get(f"/api/v1/tariffs/{tariff}")).status == 200
            assert len((await (await client.get("/api/v1/tariffs")).json())["items"]) == 1


async def test_a_wrong_tariff_is_refused_whole_with_its_lines(store: Store) -> None:
    wrong = TARIFF.replace('"0.40"', '"cheap"').replace("per: month", "per: moon")
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        answer = await client.post("/api/v1/tariffs", json={"organisation": "mills", "text": wrong})
        assert answer.status == 422
        said = (await answer.json())["error"].splitlines()
        assert [line.partition(":")[0] for line in said] == ["line 11", "line 14"]
        checked = await (await client.post("/api/v1/tariffs/check", json={"text": wrong})).json()
        assert [mistake["line"] for mistake in checked["mistakes"]] == [11, 14]
        good = await (await client.post("/api/v1/tariffs/check", json={"text": TARIFF})).json()
        assert good == {"name": "Two zones", "mistakes": []}
        assert (await (await client.get("/api/v1/tariffs")).json())["items"] == []


async def test_a_tariff_that_a_site_has_stays_and_keeps_its_currency(store: Store) -> None:
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        tariff = await given(client)
        assert (await client.delete(f"/api/v1/tariffs/{tariff}")).status == 409
        euros = TARIFF.replace("PLN", "EUR")
        assert (await client.put(f"/api/v1/tariffs/{tariff}", json={"text": euros})).status == 409
        other = (await (await client.post("/api/v1/tariffs", json={"organisation": "mills", "text": euros})).json())[
            "id"
        ]
        assert (await client.put("/api/v1/sites/lane/tariffs/2026-06-01", json={"tariff": other})).status == 409
        dearer = TARIFF.replace("0.40", "0.50").replace("Two zones", "Dearer")
        assert (await client.put(f"/api/v1/tariffs/{tariff}", json={"text": dearer})).status == 200
        assert (await (await client.get("/api/v1/sites/lane/tariffs")).json())[0]["name"] == "Dearer"
        assert (await client.delete("/api/v1/sites/lane/tariffs/2026-01-01")).status == 204
        assert (await client.delete("/api/v1/sites/lane/tariffs/2026-01-01")).status == 404
        assert (await client.delete(f"/api/v1/tariffs/{tariff}")).status == 204
    acts = await store.sql.fetch("SELECT person, action, organisation FROM act ORDER BY id")
    assert [tuple(act) for act in acts] == [
        ("anna", "added a tariff", "mills"), ("anna", "gave a site a tariff", "mills"),
        ("anna", "added a tariff", "mills"), ("anna", "changed a tariff", "mills"),
        ("anna", "took a tariff from a site", "mills"), ("anna", "removed a tariff", "mills"),
    ]  # fmt: skip


async def test_names_that_are_none_are_not_there(store: Store) -> None:
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        for path in ("/api/v1/tariffs/%00", "/api/v1/tariffs/%ED%A0%80", "/api/v1/tariffs/'%20OR%201=1"):
            assert (await client.get(path)).status == 404
        assert (await client.get("/api/v1/tariffs?after=kaEA")).status == 400
        for body in (
            {"organisation": "a\0", "text": TARIFF},
            {"organisation": "mills", "text": "a: \0"},
            {"text": 1},
            [],
        ):
            assert (await client.post("/api/v1/tariffs", json=body)).status in (400, 422)
        huge = {"organisation": "mills", "text": "#" * 300_000}
        assert (await client.post("/api/v1/tariffs", json=huge)).status == 400
        for day in ("2026-13-01", "soon", "%00"):
            assert (await client.put(f"/api/v1/sites/lane/tariffs/{day}", json={"tariff": "0" * 16})).status == 400
        assert (await client.put("/api/v1/sites/lane/tariffs/2026-01-01", json={"tariff": "0" * 16})).status == 422


async def test_sites_and_organisations_go_with_their_tariffs(store: Store) -> None:
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        tariff = await given(client)
        await client.put("/api/v1/sites/lane/price-area", json={"area": "PL"})
        async with store.sql.transaction() as db:
            await db.execute("UPDATE node SET site = NULL")
        sites = Sites(store.sql)
        assert await sites.delete_site("lane")
        assert (await client.get(f"/api/v1/tariffs/{tariff}")).status == 200
        assert await sites.delete_organisation("mills")
        assert (await client.get(f"/api/v1/tariffs/{tariff}")).status == 404


async def test_tariffs_come_in_pieces(store: Store) -> None:
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        for n in range(5):
            text = TARIFF.replace("Two zones", f"Number {n}")
            await client.post("/api/v1/tariffs", json={"organisation": "mills", "text": text})
        got, after = [], ""
        while True:
            piece = await (await client.get(f"/api/v1/tariffs?limit=2&after={after}")).json()
            got += [one["name"] for one in piece["items"]]
            if not (after := piece["next"]):
                break
        assert sorted(got) == [f"Number {n}" for n in range(5)]


def test_the_meter_at_the_grid_is_billed_else_an_inverters_else_all_meters() -> None:
    def layout(device: str, role: str, *keys: str) -> tuple[str, Layout]:
        return "n", Layout(device, "live", tuple(map(counter, keys)), role=role)  # type: ignore[arg-type]

    own = ("import_energy_total", "export_energy_total")
    behind = ("meter_import_energy_total", "meter_export_energy_total")
    grid, pv, meter = (
        layout("g", "grid", *own),
        layout("p", "pv", "energy_total", *behind),
        layout("m", "meter", "energy_total"),
    )
    assert meters_of([grid, pv, meter]) == [Meter("n", "g", *own)]
    assert meters_of([pv, meter]) == [Meter("n", "p", *behind)]
    assert meters_of([meter]) == [Meter("n", "m", "energy_total", "")]
    assert meters_of([layout("p", "pv", "energy_total")]) == []


async def test_a_counter_that_starts_anew_costs_nothing_that_it_did_not_count(store: Store) -> None:
    before = readings(minutes("2026-11-19T23:00", "2026-11-20T12:00"), lambda ts: 1000.0, lambda ts: 0.0)
    after = [
        Record(GRID.id, ts, GRID.rows.pack([round((ts - at("2026-11-20T12:00")) / HOUR_MS * 1000), 0]))
        for ts in minutes("2026-11-20T12:01", "2026-11-21T00:00")
    ]
    await take(store, before + after)
    async with hub(store, NOW, SignedIn(ADMIN)) as client:
        await given(client)
        report = await cost(client)
    total = sum(Decimal(line["kwh"]) for line in report["lines"] if line["way"] == "import")
    assert total == pytest.approx(Decimal(24), abs=Decimal("0.1"))
