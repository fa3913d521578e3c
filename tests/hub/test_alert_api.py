"""Alerts and receivers over HTTP: everybody sees and does what its grants cover, and nothing else is there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sync.hub.alerts.part import Alerting
from sync.hub.alerts.settings import AlertsConfig
from sync.hub.people.acts import Acts
from sync.hub.people.sites import Sites
from sync.hub.web.api import Api
from sync.hub.web.rights import Caller, Grant, Role
from sync.hub.web.shell import Shell
from sync.hub.web.tenants import Tenants
from tests.hub.alerting import Fleet
from tests.hub.stores import KINDS, opened, place

PERSON = "INSERT INTO person (name, argon2, created) VALUES ($1, '', 0)"
GRANT = "INSERT INTO person_grant (person, organisation, site, role) VALUES ($1, $2, $3, $4)"
PEOPLE = {
    "root": (Grant(Role.ADMIN),),
    "boss": (Grant(Role.ADMIN, "acme"),),
    "op": (Grant(Role.OPERATOR, "acme", "valley"),),
    "looker": (Grant(Role.VIEWER, "acme"),),
    "other": (Grant(Role.ADMIN, "umbrella"),),
    "guest": (Grant(Role.ADMIN, "umbrella"), Grant(Role.VIEWER, "acme")),
}


class Named:
    """Whom the header X-Person names."""

    async def caller(self, request: web.Request) -> Caller | None:
        name = request.headers.get("X-Person", "")
        return Caller(name, PEOPLE[name]) if name else None


class Hub:
    def __init__(self, fleet: Fleet, client: Any) -> None:
        self.fleet = fleet
        self._client = client

    async def ask(self, person: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"X-Person": person} if person else {}
        async with self._client.request(method, path, json=body, headers=headers) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()

    async def acts(self) -> list[tuple[Any, ...]]:
        rows = await self.fleet.store.sql.fetch(
            "SELECT person, action, organisation, site, detail FROM act ORDER BY id"
        )
        return [tuple(row) for row in rows]


@pytest.fixture(params=KINDS)
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Hub]:
    async with opened(await place(request.param, request), tmp_path) as store:
        fleet = Fleet(store)
        fleet.says = {name: {"quarantined": 1} for name in ("mill", "farm", "barn", "lone")}
        await fleet.pass_on(4)
        await fleet.at_site("mill", "valley", "acme")
        await fleet.at_site("farm", "hill", "acme")
        await fleet.at_site("barn", "moor", "umbrella")
        async with store.sql.transaction() as db:
            for name, grants in PEOPLE.items():
                await db.execute(PERSON, name)
                for grant in grants:
                    await db.execute(GRANT, name, grant.organisation, grant.site, str(grant.role))
        app, tenants, config = web.Application(), Tenants(store.sql), AlertsConfig(webhooks="anywhere")
        api = Api(Named(), tenants, fleet.clock)
        alerting = Alerting(config, store.sql, tenants, Acts(store.sql), fleet.clock, tmp_path)
        api.add(app, alerting.routes())
        Shell(api).add(app, alerting.pages())
        async with TestClient(TestServer(app)) as client:
            yield Hub(fleet, client)


async def nodes(hub: Hub, person: str, query: str = "") -> list[str]:
    status, page = await hub.ask(person, "GET", f"/api/v1/alerts{query}")
    assert status == 200, page
    return [alert["node"] for alert in page["items"]]


@pytest.mark.P11
async def test_everybody_sees_the_alerts_of_its_places_alone(hub: Hub) -> None:
    assert sorted(await nodes(hub, "root")) == ["barn", "farm", "lone", "mill"]
    assert sorted(await nodes(hub, "boss")) == sorted(await nodes(hub, "looker")) == ["farm", "mill"]
    assert await nodes(hub, "op") == ["mill"]
    assert await nodes(hub, "other") == ["barn"]
    for foreign, unknown in (("node=mill", "node=nobody"), ("site=valley", "site=nowhere")):
        gone = await hub.ask("other", "GET", f"/api/v1/alerts?{unknown}")
        assert await hub.ask("other", "GET", f"/api/v1/alerts?{foreign}") == gone
        assert gone[0] == 404
    assert (await hub.ask("", "GET", "/api/v1/alerts"))[0] == 401


async def test_alerts_are_found_by_what_they_are_and_in_pages(hub: Hub) -> None:
    hub.fleet.says["mill"] = {}
    await hub.fleet.pass_on(12)
    assert await nodes(hub, "root", "?state=ended") == ["mill"]
    assert sorted(await nodes(hub, "root", "?state=all&kind=quarantine")) == ["barn", "farm", "lone", "mill"]
    assert await nodes(hub, "root", "?kind=disk") == []
    assert await nodes(hub, "root", "?site=hill") == ["farm"]
    found, after = [], ""
    while True:
        _, page = await hub.ask("root", "GET", f"/api/v1/alerts?state=all&limit=3&after={after}")
        found += [alert["id"] for alert in page["items"]]
        if not (after := page["next"]):
            break
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4
    for query in ("?state=x", "?kind=x", "?limit=0", "?limit=1001", "?after=x", "?after=kQE%00", "?more=1"):
        assert (await hub.ask("root", "GET", f"/api/v1/alerts{query}"))[0] == 400, query


@pytest.mark.P11
async def test_an_operator_acknowledges_at_its_place_and_a_foreign_alert_is_not_there(hub: Hub) -> None:
    _, page = await hub.ask("root", "GET", "/api/v1/alerts")
    ids = {alert["node"]: alert["id"] for alert in page["items"]}
    body = {"note": "<b>on my way</b>"}
    path = "/api/v1/alerts/{}/acknowledge"
    status, alert = await hub.ask("op", "POST", path.format(ids["mill"]), body)
    assert (status, alert["acknowledged"], alert["acknowledged_by"]) == (200, hub.fleet.clock.now, "op")
    gone = await hub.ask("op", "POST", path.format(10**17), body)
    assert gone[0] == 404
    for number in (ids["barn"], ids["farm"], ids["lone"], "x", 10**30, "%C2%B2"):
        assert await hub.ask("op", "POST", path.format(number), body) == gone, number
    for person in ("looker", "guest"):
        assert (await hub.ask(person, "POST", path.format(ids["mill"]), body))[0] == 403
    assert (await hub.ask("op", "POST", path.format(ids["mill"]), {"note": "x" * 501}))[0] == 400
    acted = ("op", "acknowledged alert", "acme", "valley", "quarantine of mill: <b>on my way</b>")
    assert await hub.acts() == [acted]
    _, text = await hub.ask("op", "GET", "/alerts")
    assert "seen by op, " in text
    assert "&lt;b&gt;on my way" in text
    assert "farm" not in text


@pytest.mark.P11
async def test_a_receivers_secret_is_shown_once_and_others_receivers_are_not_there(hub: Hub) -> None:
    asked = {
        "kind": "webhook",
        "address": "http://127.0.0.1:9/hook?token=t",
        "site": "valley",
        "kinds": ["disk", "clock"],
    }
    status, made = await hub.ask("boss", "POST", "/api/v1/receivers", asked)
    assert (status, made["organisation"], made["site"], made["kinds"]) == (201, "acme", "valley", ["clock", "disk"])
    assert len(made["secret"]) > 30
    _, page = await hub.ask("boss", "GET", "/api/v1/receivers")
    assert [(one["id"], one["secret"]) for one in page["items"]] == [(made["id"], "")]
    one = f"/api/v1/receivers/{made['id']}"
    wishes = {"address": "https://example.com/", "per_hour": 3}
    for person in ("other", "guest"):
        assert (await hub.ask(person, "GET", "/api/v1/receivers"))[1]["items"] == []
    for method, path, body in (("PUT", one, wishes), ("DELETE", one, None), ("POST", f"{one}/test", None)):
        nobody = path.replace(made["id"], "nobody")
        assert await hub.ask("other", method, path, body) == await hub.ask("boss", method, nobody, body)
        assert (await hub.ask("op", method, path, body))[0] == 403
    status, tested = await hub.ask("boss", "POST", f"{one}/test")
    more = [(await hub.ask("boss", "POST", f"{one}/test"))[0] for _ in range(6)]
    assert more == [200] * 4 + [429] * 2, "it may be anybody's address"
    assert (status, tested["sent"], tested["error"].partition(":")[0]) == (200, False, "not reached")
    status, changed = await hub.ask("boss", "PUT", one, wishes)
    assert (status, changed["address"], changed["secret"]) == (200, "https://example.com/", "")
    kept = await hub.fleet.receivers.one(made["id"])
    assert kept is not None
    assert kept.secret == made["secret"]
    assert (await hub.ask("boss", "DELETE", one))[0] == 204
    assert (await hub.ask("boss", "DELETE", one))[0] == 404
    actions = [(act[1], act[3], act[4]) for act in await hub.acts()]
    assert actions[0] == ("added receiver", "valley", "webhook 127.0.0.1:9")
    assert [action for action, *_ in actions[1:]] == ["tested receiver"] * 5 + ["changed receiver", "removed receiver"]


@pytest.mark.P11
@pytest.mark.parametrize(
    ("person", "more", "status"),
    [
        ("boss", {"organisation": "acme"}, 201),
        ("boss", {}, 403),  # everywhere
        ("boss", {"organisation": "umbrella"}, 404),
        ("boss", {"organisation": "nobody"}, 404),
        ("boss", {"site": "moor"}, 404),
        ("boss", {"organisation": "acme", "site": "moor"}, 404),
        ("root", {"organisation": "acme", "site": "moor"}, 404),
        ("looker", {"organisation": "acme"}, 403),
        ("root", {}, 201),
        ("root", {"address": "ann"}, 400),
        ("root", {"address": "ann@example.com\nBcc: bob@example.com"}, 400),
        ("root", {"kind": "webhook", "address": "file:///etc/passwd"}, 400),
        ("root", {"kind": "webhook", "address": "https://example.com/", "secret": "short"}, 400),
        ("root", {"kinds": ["x"]}, 400),
        ("root", {"kind": "pigeon"}, 400),
        ("root", {"per_hour": 0}, 400),
    ],
)
async def test_who_may_have_whom_told_of_what(hub: Hub, person: str, more: dict[str, Any], status: int) -> None:
    asked = {"kind": "email", "address": "ann@example.com"} | more
    assert (await hub.ask(person, "POST", "/api/v1/receivers", asked))[0] == status


@pytest.mark.P11
async def test_who_was_told_of_a_site_that_is_gone_is_not_told_of_the_next_one_of_its_id(hub: Hub) -> None:
    sites = Sites(hub.fleet.store.sql)
    for scope in ({"site": "valley"}, {"organisation": "acme"}):
        await hub.ask("root", "POST", "/api/v1/receivers", {"kind": "email", "address": "ann@example.com"} | scope)
    for node, site in (("mill", "valley"), ("farm", "hill")):
        await sites.move(node, None)
        assert await sites.delete_site(site)
        left = await hub.fleet.receivers.listed(Caller("root", PEOPLE["root"]))
        assert [one.organisation for one in left] == ["acme"]
    assert await sites.delete_organisation("acme")
    assert await hub.fleet.receivers.listed(Caller("root", PEOPLE["root"])) == []


async def test_the_menu_counts_what_nobody_has_seen_yet(hub: Hub) -> None:
    count = '<span class="count">{}</span>'
    assert count.format(2) in (await hub.ask("boss", "GET", "/alerts"))[1]
    _, page = await hub.ask("boss", "GET", "/api/v1/alerts")
    for alert in page["items"]:
        await hub.ask("root", "POST", f"/api/v1/alerts/{alert['id']}/acknowledge", {})
    assert "count" not in (await hub.ask("boss", "GET", "/alerts"))[1]


async def test_the_page_says_in_words_that_nothing_is_wrong(hub: Hub) -> None:
    hub.fleet.says = {node: {} for node in hub.fleet.says}
    await hub.fleet.pass_on(12)
    _, text = await hub.ask("root", "GET", "/alerts")
    assert "Nothing is wrong that the hub knows of" in text
    assert "Nobody is told of alerts yet" in text
    assert "What was" in text
    assert "This hub sends no e-mail yet: name a mail server in hub.yaml, alerts.smtp" in text
