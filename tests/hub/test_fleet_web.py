"""Configurations, roll-outs and commands' course over HTTP: who may, what is refused, what the pages show."""

import asyncio
import json
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientResponse

from gateway.core.model import Command, CommandResult
from sync.hub.store.contract import Store
from sync.hub.web.rights import Grant, Role
from sync.hub.web.sse import Pace
from tests.hub.fleetweb import signed_in
from tests.hub.places import put_node, put_site
from tests.hub.test_rollouts import Hub
from tests.sync.controlling import LATER

CONFIGURATION = "/api/v1/nodes/n0/configuration"
ROLLOUTS = "/api/v1/rollouts"
QUICK = Pace(apart_s=0.001, look_s=0.01)
PATCH = {"kind": "configure", "patch": "site: {timezone: Europe/Berlin}", "soak_s": 0}
ACTS = "SELECT person, action, object, organisation, site FROM act ORDER BY id"


@pytest.fixture
async def hub(store: Store) -> Hub:
    """n0 and n1 stand at north/a, n2 at north/b, n3 at south/c, n4 nowhere."""
    hub = Hub(store)
    await hub.beats()
    await hub.reports()
    for organisation, sites in {"north": "ab", "south": "c"}.items():
        for site in sites:
            await put_site(store.sql, site, organisation)
    for node, site in {"n0": "a", "n1": "a", "n2": "b", "n3": "c"}.items():
        await put_node(store.sql, node, site)
    return hub


async def said(answer: ClientResponse, status: int = 200) -> Any:
    assert answer.status == status, await answer.text()
    return await answer.json()


async def test_what_is_ordered_over_http_goes_out_and_is_noted_as_an_act(hub: Hub) -> None:
    async with signed_in(hub) as client:
        answer = await client.put(CONFIGURATION, json={"text": "site: {name: New}\n", "reason": "why not"})
        found = await said(answer)
        assert (found["desired"]["state"], found["desired"]["by"]) == ("pending", "Ann")
        assert found["keys"] == [{"key": "site.name", "reported": "n0", "desired": "New"}]
        assert await said(await client.get(CONFIGURATION)) == found
    assert await hub.ordered() == {"n0": "site: {name: New}\n"}
    assert [tuple(row) for row in await hub.store.sql.fetch(ACTS)] == [
        ("Ann", "orders a configuration", "n0", "north", "a")
    ]


@pytest.mark.P11
@pytest.mark.parametrize(
    ("grants", "get", "put"),
    [
        ((Grant(Role.OPERATOR, "north", "a"),), 200, 200),
        ((Grant(Role.VIEWER, "north"),), 200, 403),
        ((Grant(Role.ADMIN, "north", "b"),), 404, 404),
        ((Grant(Role.ADMIN, "south"), Grant(Role.VIEWER, "north", "b")), 404, 404),
    ],
)
async def test_a_configuration_is_for_those_whose_grants_cover_the_node(
    hub: Hub, grants: tuple[Grant, ...], get: int, put: int
) -> None:
    async with signed_in(hub, *grants) as client:
        assert (await client.get(CONFIGURATION)).status == get
        assert (await client.get("/nodes/n0/configuration")).status == get
        assert (await client.get("/api/v1/nodes/n0/commands/stream")).status == get
        assert (await client.put(CONFIGURATION, json={"text": "site: {name: x}"})).status == put


@pytest.mark.parametrize(
    ("body", "status"),
    [({"text": "site: ["}, 400), ({"text": "hub: {secret: s3}"}, 400), ({}, 400), ([], 400), ({"text": 1}, 400),
     ({"text": "a: 1", "valid_s": 1}, 400), ({"text": "a: 1", "by": "Bob"}, 400), ({"text": "x" * 1_100_000}, 413)],
)  # fmt: skip
async def test_a_bad_configuration_is_refused_in_words(hub: Hub, body: object, status: int) -> None:
    async with signed_in(hub) as client:
        headers = {"Content-Type": "application/json"}
        answer = await client.put(CONFIGURATION, data=BytesIO(json.dumps(body).encode()), headers=headers)
        assert (await said(answer, status))["error"]
    assert await hub.ordered() == {}
    assert await hub.store.sql.fetch(ACTS) == []


async def test_a_roll_out_is_made_looked_at_paused_stopped_and_undone(hub: Hub) -> None:
    async with signed_in(hub, Grant(Role.OPERATOR, "north")) as client:
        made = await said(await client.post(ROLLOUTS, json=PATCH | {"organisation": "north", "waves": ["1"]}), 201)
        one = f"{ROLLOUTS}/{made['rollout']['id']}"
        assert (made["rollout"]["nodes"], made["rollout"]["organisation"], made["rollout"]["site"]) == (3, "north", "")
        assert [wave["nodes"] for wave in made["waves"]] == [1, 2]
        assert (await said(await client.post(f"{one}/pause")))["rollout"]["state"] == "paused"
        assert (await said(await client.post(f"{one}/resume")))["rollout"]["state"] == "running"
        assert (await client.post(f"{one}/undo")).status == 409
        await hub.turn()
        await hub.end()
        stopped = (await said(await client.post(f"{one}/stop")))["rollout"]
        assert (stopped["state"], stopped["why"]) == ("stopped", "Ann stopped it")
        assert (await client.post(f"{one}/resume")).status == 409
        undone = await said(await client.post(f"{one}/undo"), 201)
        assert undone["rollout"]["undoes"] == made["rollout"]["id"]
        members = await said(await client.get(f"{one}/nodes?limit=2"))
        assert [(member["node"], member["state"]) for member in members["items"]] == [("n0", "done"), ("n1", None)]
        rest = await said(await client.get(f"{one}/nodes?after={members['next']}"))
        assert ([member["node"] for member in rest["items"]], rest["next"]) == (["n2"], "")
        listed = await said(await client.get(f"{ROLLOUTS}?limit=1"))
        older = await said(await client.get(f"{ROLLOUTS}?limit=1&after={listed['next']}"))
        assert {listed["items"][0]["id"], older["items"][0]["id"]} == {made["rollout"]["id"], undone["rollout"]["id"]}
        assert older["next"] == ""
        assert (await said(await client.get("/api/v1/releases")))["items"] == [{"version": "1.0", "nodes": 3}]
    acts = [tuple(row) for row in await hub.store.sql.fetch(ACTS)]
    assert [act[1].split()[0] for act in acts] == ["begins", "pauses", "resumes", "stops", "undoes"]
    assert {act[3:] for act in acts} == {("north", "")}


@pytest.mark.P11
async def test_a_roll_out_is_there_only_for_those_whose_grants_cover_all_of_it(hub: Hub) -> None:
    async with signed_in(hub) as client:
        made = await said(await client.post(ROLLOUTS, json=PATCH | {"organisation": "north"}), 201)
    one = f"{ROLLOUTS}/{made['rollout']['id']}"
    async with signed_in(hub, Grant(Role.ADMIN, "north", "a"), Grant(Role.ADMIN, "south")) as client:
        assert (await said(await client.get(ROLLOUTS)))["items"] == []
        for path in (one, f"{one}/nodes", f"/rollouts/{made['rollout']['id']}", f"{ROLLOUTS}/nothing"):
            assert (await client.get(path)).status == 404
        assert (await client.post(f"{one}/stop")).status == 404
    async with signed_in(hub, Grant(Role.VIEWER, "north")) as client:
        assert (await client.get(one)).status == 200
        assert (await client.post(f"{one}/stop")).status == 403


async def test_a_roll_out_for_where_no_node_stands_is_refused_in_words(hub: Hub) -> None:
    await put_site(hub.store.sql, "empty", "north")
    async with signed_in(hub) as client:
        for site in ("empty", "nowhere"):
            refused = await said(await client.post(ROLLOUTS, json=PATCH | {"site": site}), 404)
            assert refused["error"] == "no node of yours to see stands there"


@pytest.mark.P11
@pytest.mark.parametrize(
    ("whom", "status", "nodes"),
    [
        ({"everywhere": True}, 201, 2),
        ({"site": "a"}, 201, 2),
        ({"nodes": ["n0"]}, 201, 1),
        ({"nodes": ["n0", "n2"]}, 403, 0),
        ({"organisation": "north"}, 403, 0),
        ({"nodes": ["n0", "n3"]}, 404, 0),
        ({"nodes": ["nobody"]}, 404, 0),
        ({"organisation": "south"}, 404, 0),
        ({"site": "nowhere"}, 404, 0),
        ({}, 400, 0),
        ({"site": "a", "waves": ["x"]}, 400, 0),
        ({"site": "a", "patch": "a: ["}, 400, 0),
        ({"site": "a", "ill_max": -1}, 400, 0),
        ({"site": "a", "kind": "format"}, 400, 0),
    ],
)
async def test_a_roll_out_takes_no_node_on_which_its_maker_may_not_act(
    hub: Hub, whom: dict[str, object], status: int, nodes: int
) -> None:
    grants = [Grant(Role.OPERATOR, "north", "a")]
    if not whom.get("everywhere"):
        grants.append(Grant(Role.VIEWER, "north", "b"))
    async with signed_in(hub, *grants) as client:
        made = await said(await client.post(ROLLOUTS, json=PATCH | whom), status)
        assert made["rollout"]["nodes"] == nodes if status == 201 else made["error"]


async def test_a_list_that_begins_nowhere_is_refused(hub: Hub) -> None:
    async with signed_in(hub) as client:
        for after in ("x", "-", "1-", "1-%00", "9" * 30 + "-a"):
            assert (await client.get(f"{ROLLOUTS}?after={after}")).status == 400


async def test_a_command_is_found_by_its_id_with_all_its_times_and_only_at_its_node(hub: Hub) -> None:
    control = hub.store.control
    await control.order("n0", Command("a", "LEDGER", LATER), 1000)
    await control.taken("n0", ["a"], 2000)
    await control.ended("n0", [CommandResult("a", "done", "begun")], 3000)
    async with signed_in(hub) as client:
        found = await said(await client.get("/api/v1/nodes/n0/commands/a"))
        times = (found["created"], found["taken"], found["changed"])
        assert (found["state"], found["words"], times) == ("done", "begun", (1000, 2000, 3000))
        for path in ("n1/commands/a", "n0/commands/b", "nobody/commands/a"):
            assert (await client.get(f"/api/v1/nodes/{path}")).status == 404


async def events(stream: ClientResponse, most: int) -> list[tuple[str, str]]:
    """The next so many that a stream tells: id and state."""
    found: list[tuple[str, str]] = []
    while len(found) < most:
        line = await stream.content.readline()
        assert line, "it ended"
        if line.startswith(b"data: "):
            found += [(one["command"]["id"], one["state"]) for one in json.loads(line[6:])]
    return found


async def test_an_open_page_hears_what_another_process_of_the_hub_was_told(hub: Hub) -> None:
    control = hub.store.control
    await control.order("n0", Command("a", "LEDGER", LATER), hub.clock.wall)
    async with signed_in(hub, pace=QUICK) as client:
        stream = await client.get("/api/v1/nodes/n0/commands/stream")
        assert stream.content_type == "text/event-stream"
        assert await events(stream, 1) == [("a", "queued")]
        await control.taken("n0", ["a"], hub.clock.wall + 1)
        assert await events(stream, 1) == [("a", "taken")]
        await control.order("n0", Command("b", "LEDGER", LATER), hub.clock.wall + 2)
        await control.order("n1", Command("not of it", "LEDGER", LATER), hub.clock.wall + 2)
        await control.ended("n0", [CommandResult("a", "unknown", "")], hub.clock.wall + 3)
        assert sorted(await events(stream, 2)) == [("a", "unknown"), ("b", "queued")]
        hub.clock.wall = LATER + 1
        assert await events(stream, 1) == [("b", "expired")]


async def test_streams_are_bounded_in_number_and_in_time_and_end_with_the_process(hub: Hub) -> None:
    path = "/api/v1/nodes/n0/commands/stream"
    async with signed_in(hub, pace=replace(QUICK, streams_max=2)) as client:
        open_ones = [await client.get(path) for _ in range(2)]
        assert (await client.get(path)).status == 503
        open_ones[0].close()
        while (again := await client.get(path)).status == 503:
            await asyncio.sleep(0)
        assert again.status == 200
        await client.app.shutdown()
        assert b"ended by the hub" in await open_ones[1].read(), "it ended cleanly with the process"
    async with signed_in(hub, pace=replace(QUICK, life_s=0.02)) as client:
        assert b"ended by the hub" in await (await client.get(path)).read()


async def test_pages_show_what_the_api_gives_and_escape_it(hub: Hub) -> None:
    rollout = await hub.begin()
    await hub.turn()
    await hub.end("failed", "<i>no</i>")
    await hub.turn()
    await hub.wants_and_fails("site: {name: <b>bold</b>}\n")
    async with signed_in(hub) as client:
        for path, words in {
            "/nodes/n0/configuration": ["rolled back", "&lt;b&gt;bold"],
            "/nodes/n0/commands": ["CONFIGURE", "&lt;i&gt;no"],
            "/rollouts": ["stopped", "fell ill: n0", "1.0"],
            f"/rollouts/{rollout}": ["stopped", "&lt;i&gt;no", "Wave 3", "0 of 1 well, 1 ill"],
            f"/part/rollouts/{rollout}": ["n4"],
        }.items():
            text = await (await client.get(path)).text()
            for word in words:
                assert word in text, (path, word)
            assert "<b>bold" not in text
            assert "<i>no" not in text
    async with signed_in(hub, Grant(Role.VIEWER)) as client:
        for path in ("/nodes/n0/configuration", "/nodes/n0/commands", "/rollouts", f"/rollouts/{rollout}"):
            text = await (await client.get(path)).text()
            assert text.count("<form") == text.count("/api/v1/sign-out") == 1
