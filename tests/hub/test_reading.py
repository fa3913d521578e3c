"""What the hub gives back, on SQLite and on PostgreSQL alike, and to whom."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.model import BACKFILLED, Event, Layout, Point, Record
from sync import wire
from sync.hub.reading.devices import Devices
from sync.hub.reading.nodes import Nodes
from sync.hub.reading.routes import reading_routes
from sync.hub.store.commandstore import Beat
from sync.hub.store.contract import Audit, Store
from sync.hub.store.sql import Row, Sql, Work
from sync.hub.web.api import Route
from sync.hub.web.rights import Caller, Grant, Role
from sync.hub.web.sse import Streams
from tests.hub.clock import NOW, StoppedClock
from tests.hub.everything import hub
from tests.hub.signed import bearer
from tests.hub.signing import EVERYWHERE, OF_MILL, OF_NORTH, client, keep, settle
from tests.hub.stores import audit
from tests.values import METER, power


@pytest.fixture
async def store(store: Store) -> Store:
    await settle(store)
    return store


def routes(store: Store) -> Sequence[Route[Any, Any]]:
    clock = StoppedClock()
    return reading_routes(store.sql, Nodes(store.sql), Streams(clock), clock)


async def get(store: Store, path: str, caller: Caller = EVERYWHERE, status: int = 200) -> Any:
    async with client(store, routes(store), caller) as api:
        answer = await api.get(path)
        assert answer.status == status, await answer.text()
        return await answer.json()


async def walk(store: Store, path: str, caller: Caller = EVERYWHERE) -> list[Any]:
    """All pieces of a list."""
    found, after = [], ""
    async with client(store, routes(store), caller) as api:
        while True:
            answer = await (await api.get(path, params={"after": after})).json()
            found += answer["items"]
            if not (after := answer["next"]):
                return found


async def beat(store: Store, node: str, backlog: int, *problems: str, at: int = NOW) -> None:
    said = wire.Heartbeat("1.2.3", at, 1.0, "kernel", backlog=backlog, problems=problems)
    await store.control.beat(Beat(node, at, msgspec.json.encode(said), backlog, len(problems)))


async def test_nodes_come_in_pieces_in_whatever_order_each_once(store: Store) -> None:
    await keep(store, "dam-1", METER, [power(NOW - 5000, 1)])
    await beat(store, "mill-1", 70)
    await beat(store, "quay-1", 7, at=NOW - 1)
    everyone = ["dam-1", "farm-1", "mill-1", "quay-1"]
    for key in ("id", "last_seen", "newest", "backlog"):
        forth = [one["id"] for one in await walk(store, f"/api/v1/nodes?limit=1&order={key}")]
        back = [one["id"] for one in await walk(store, f"/api/v1/nodes?limit=3&order=-{key}")]
        assert sorted(forth) == everyone
        assert forth == back[::-1]
    assert [one["id"] for one in await walk(store, "/api/v1/nodes?order=-backlog")][:2] == ["mill-1", "quay-1"]


async def test_nodes_are_found_by_what_is_known_of_them(store: Store) -> None:
    await beat(store, "farm-1", 0, "<b> is silent", at=NOW)
    await beat(store, "late%_1", 0, at=NOW - 6 * 60_000)
    for query, found in {
        "q=MIL": ["mill-1"], "q=the+quay": ["quay-1"], "q=%25_": ["late%_1"], "q=%27": [],
        "site=dam": ["dam-1"], "organisation=south": ["dam-1", "quay-1"], "organisation=%00": [],
        "online=false": ["late%_1"], "problems=true": ["farm-1"],
        "online=true&problems=false&organisation=north": ["mill-1"],
    }.items():  # fmt: skip
        assert [one["id"] for one in await walk(store, f"/api/v1/nodes?limit=1&{query}")] == found, query


@pytest.mark.P11
async def test_a_caller_gets_what_its_grants_cover_and_of_the_rest_not_even_that_it_is_there(store: Store) -> None:
    for node in ("mill-1", "dam-1"):
        await keep(store, node, METER, [power(NOW - 5000, 1)])
        await store.take_events([Event(NOW, "x", seq=1)], "e", audit(node))
    for path in ("nodes", "devices", "events", "audit"):
        of = {caller.name: {one.get("node", one.get("id")) for one in await walk(store, f"/api/v1/{path}", caller)}
              for caller in (OF_MILL, OF_NORTH, Caller("nobody", ()))[:2]}  # fmt: skip
        assert of["mia"] == {"mill-1"}, path
        assert "dam-1" not in of["nora"], path
    series = "/api/v1/series?device=meter&key=power&node="
    for path in ("/api/v1/nodes/", series, "/api/v1/records?node=", "/api/v1/devices?node=", "/api/v1/events?node="):
        foreign = await get(store, f"{path}dam-1", OF_NORTH, 404)
        assert foreign == await get(store, f"{path}nobody", OF_NORTH, 404)
        await get(store, f"{path}mill-1", OF_NORTH)
    await get(store, "/api/v1/events?site=dam", OF_NORTH, 404)


async def test_a_node_comes_with_its_devices_and_a_list_without(store: Store) -> None:
    await keep(store, "mill-1", METER, [power(NOW - 5000, 700), power(NOW - 4000, 800)])
    await beat(store, "mill-1", 70, "so")
    (line,) = await walk(store, "/api/v1/nodes?q=mill")
    assert (line["lag_ms"], line["records"], line["site_name"], line["backlog"]) == (4000, 2, "The Mill", 70)
    assert line["problems"] == ["so"]
    detail = await get(store, "/api/v1/nodes/mill-1")
    assert detail["devices"][0]["readings"][0]["value"] == 800
    del detail["devices"]
    assert detail == line


async def test_devices_have_the_points_of_their_layouts_the_newest_first(store: Store) -> None:
    old = Layout("meter", "live", (Point("power", "u16", unit="kW"), Point("gone", "u16")), "old")
    await keep(store, "mill-1", old, [Record(old.id, NOW - 9000, old.rows.pack([1, 2]))])
    await keep(store, "mill-1", METER, [power(NOW - 4000, 800)])
    await keep(store, "mill-1", Layout("amp", "live", METER.points), [])
    amp, meter = await walk(store, "/api/v1/devices?limit=1&node=mill-1")
    assert (amp["name"], amp["newest"]) == ("amp", 0)
    assert (meter["newest"], meter["profile"]) == (NOW - 4000, "")
    assert [(point["key"], point["unit"]) for point in meter["points"]] == [
        ("power", "W"),
        ("voltage", "V"),
        ("gone", ""),
    ]


async def test_records_come_newest_or_oldest_first_each_once(store: Store) -> None:
    amp = Layout("amp", "live", METER.points)
    times = [NOW - 1000 * n for n in range(1, 12)]
    for layout in (METER, amp):
        await keep(store, "mill-1", layout, [power(ts, 7, layout=layout) for ts in times])
    path = "/api/v1/records?limit=3&node=mill-1"
    newest = await walk(store, path)
    assert [one["ts"] for one in newest] == [ts for ts in times for _ in "ab"]
    assert await walk(store, f"{path}&order=oldest") == newest[::-1]
    of_amp = await walk(store, f"{path}&device=amp&since={NOW - 5000}&until={NOW - 2000}")
    assert [(one["ts"], one["device"]) for one in of_amp] == [(NOW - 1000 * n, "amp") for n in (3, 4, 5)]
    assert of_amp[0]["values"] == {"power": 7, "voltage": 230.0}


async def test_a_record_says_what_is_odd_about_it_and_what_is_missing(store: Store) -> None:
    layout = Layout("tank", "live", (Point("level", "f32"), Point("name", "text:8")))
    rows = [layout.rows.pack([None, "a\N{DEGREE SIGN}"]), layout.rows.pack([float("inf"), ""])]
    await keep(store, "mill-1", layout, [Record(layout.id, NOW - n - 1, row, BACKFILLED) for n, row in enumerate(rows)])
    first, second = await walk(store, "/api/v1/records?node=mill-1")
    assert (first["flags"], first["values"]) == (["backfilled"], {"level": None, "name": "a\N{DEGREE SIGN}"})
    assert second["values"] == {"level": None, "name": ""}


async def test_a_chart_takes_the_finest_resolution_that_is_not_too_much(store: Store) -> None:
    begin = NOW // 86_400_000 * 86_400_000
    await keep(store, "mill-1", METER, [power(begin + 20_000 * n, n) for n in range(540)])  # of three hours
    path = f"/api/v1/series?node=mill-1&device=meter&key=power&key=voltage&since={begin}&until={begin + 10_800_000}"
    raw = await get(store, f"{path}&points=540")
    assert (raw["resolution"], raw["step_ms"], len(raw["lines"][0]["rows"])) == ("raw", 0, 540)
    minutes = await get(store, f"{path}&points=539")
    assert (minutes["resolution"], minutes["step_ms"]) == ("minute", 60_000)
    assert minutes["lines"][0]["rows"][1] == [begin + 60_000, 4, 3, 5]
    assert minutes["lines"][1]["rows"][0] == [begin, 230, 230, 230]
    hours = await get(store, f"{path}&points=100")
    assert hours["lines"][0]["rows"] == [
        [begin + 3_600_000 * n, 180 * n + 89.5, 180 * n, 180 * n + 179] for n in range(3)
    ]
    coarse = await get(store, path.replace(str(begin + 10_800_000), str(begin + 30 * 3_600_000)) + "&points=10")
    assert coarse["step_ms"] == 4 * 3_600_000
    assert coarse["lines"][0]["rows"] == [[begin, 269.5, 0, 539]]


async def test_of_a_gap_there_is_no_row_and_of_a_missing_value_a_row_without_one(store: Store) -> None:
    level = Layout("tank", "live", (Point("level", "u16"),))
    rows = [level.rows.pack([value]) for value in (1, None, 3)]
    await keep(
        store, "mill-1", level, [Record(level.id, ts, row) for ts, row in zip((1000, 2000, 9000), rows, strict=True)]
    )
    chart = await get(store, "/api/v1/series?node=mill-1&device=tank&key=level&since=0&until=10000")
    assert chart["lines"][0]["rows"] == [[1000, 1, None, None], [2000, None, None, None], [9000, 3, None, None]]
    await get(store, "/api/v1/series?node=mill-1&device=tank&key=lever&since=0&until=10000", status=404)


async def test_events_are_found_by_kind_device_place_and_time(store: Store) -> None:
    for node, epoch in (("mill-1", "a"), ("dam-1", "b")):
        events = [Event(1000 * n, f"kind{n % 2}", "meter" if n < 3 else "amp", "<i>", n) for n in range(6)]
        await store.take_events(events, epoch, audit(node))
    for query, found in {
        "": [5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0], "order=oldest&node=dam-1": [0, 1, 2, 3, 4, 5],
        "site=mill&kind=kind1": [5, 3, 1], "kind=kind1&kind=kind0&device=amp&node=mill-1": [5, 4, 3],
        "since=2000&until=4000&site=dam": [3, 2],
    }.items():  # fmt: skip
        assert [one["seq"] for one in await walk(store, f"/api/v1/events?limit=2&{query}")] == found, query


async def test_batches_are_found_by_what_became_of_them(store: Store) -> None:
    await store.note(Audit(NOW + 1, "mill-1", "records", "c", 10, error="no"))
    await store.note(Audit(NOW + 2, "mill-1", "records", "c", 10, accepted=3, duplicate=2))
    await store.note(Audit(NOW + 3, "dam-1", "events", "c", 10, accepted=3, rejected=1))
    for query, found in {
        "type=records": [2, 1], "error=true": [1], "duplicates=true": [2], "rejected=true": [3],
        f"since={NOW + 1}&until={NOW + 3}&error=false": [2], "site=dam&type=events": [3],
    }.items():  # fmt: skip
        assert [one["at"] - NOW for one in await walk(store, f"/api/v1/audit?limit=1&{query}")] == found, query


@pytest.mark.P11
async def test_what_people_did_is_for_administrators_of_the_place(tmp_path: Path) -> None:
    async with hub("hub.db", tmp_path) as api:
        for name in ("one", "two", "three"):
            assert (await api.post("/api/v1/organisations", json={"id": name, "name": name})).status == 201
        acts, after = [], ""
        for _ in range(3):
            answer = await (await api.get(f"/api/v1/audit?kind=acts&limit=1&after={after}")).json()
            acts += answer["items"]
            after = answer["next"]
        assert [(one["kind"], one["person"], one["object"]) for one in acts] == [
            ("acts", "ann", name) for name in ("three", "two", "one")
        ]
        assert (await api.get("/api/v1/audit?kind=acts&type=x")).status == 400
        assert api.app is not None
        viewer = await bearer(api.app, Grant(Role.VIEWER), name="vic")
        assert (await api.get("/api/v1/audit?kind=acts", headers=viewer)).status == 403


@pytest.mark.parametrize(
    "path", ["records?node=mill-1", "series?node=mill-1&device=meter&key=power", "events?", "audit?"]
)
async def test_a_range_that_is_upside_down_is_told(store: Store, path: str) -> None:
    for since, until in ((5, 5), (6, 5)):
        answer = await get(store, f"/api/v1/{path}&since={since}&until={until}", status=400)
        assert "before until" in answer["error"]
    await get(store, f"/api/v1/{path}&since={10**18}", status=400)
    await get(store, f"/api/v1/{path}&after=x", status=400)


class Counting:
    """Meets `Sql`: counts the questions."""

    def __init__(self, sql: Sql) -> None:
        self._sql, self.asked = sql, 0

    async def fetch(self, query: str, *parameters: object) -> Sequence[Row]:
        self.asked += 1
        return await self._sql.fetch(query, *parameters)

    def transaction(self) -> AbstractAsyncContextManager[Work]:
        return self._sql.transaction()


async def test_thousands_of_nodes_without_devices_are_not_gone_through_for_a_list_of_devices(store: Store) -> None:
    async with store.sql.transaction() as db:
        for number in range(2000):
            await db.execute("INSERT INTO node (id, first_seen, last_seen) VALUES ($1, 0, 0)", f"empty-{number}")
    await keep(store, "mill-1", METER, [power(NOW, 1)])
    counting = Counting(store.sql)
    async with client(store, Devices(counting).routes()) as api:
        found = await (await api.get("/api/v1/devices")).json()
    assert [one["node"] for one in found["items"]] == ["mill-1"]
    assert counting.asked <= 4
