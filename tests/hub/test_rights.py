"""No caller ever sees or changes what its grants do not cover: every route of the hub is walked."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st

from sync.hub.app import API, SIGNED
from sync.hub.people.people import Person, manages
from sync.hub.web.api import Route
from sync.hub.web.rights import Caller, Grant, Place, Role
from tests.hub.clock import NOW, StoppedClock
from tests.hub.places import put_node, put_site
from tests.hub.signed import bearer, hub
from tests.hub.stores import KINDS

Client = TestClient[Any, Any]
OTHERS = ("zeta", "zeta-mill", "zeta-node", "zara", "lone-node")  # what a stranger must never be told of
NAMED = {"organisation": ("zeta", "missing"), "site": ("zeta-mill", "missing"), "node": ("zeta-node", "missing"),
         "person": ("zara", "missing")}  # fmt: skip


@asynccontextmanager
async def two_tenants(kind: str, request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Client]:
    """Acme's and Zeta's: each an organisation, a site, a node and a person; and a node that stands nowhere."""
    async with hub(kind, request, folder, StoppedClock()) as client:
        app = client.app
        assert app is not None
        for name in ("acme", "zeta"):
            await put_site(app[SIGNED].sql, f"{name}-mill", name)
            await put_node(app[SIGNED].sql, f"{name}-node", f"{name}-mill")
        await put_node(app[SIGNED].sql, "lone-node")
        await bearer(app, Grant(Role.ADMIN), name="root")
        await bearer(app, Grant(Role.ADMIN, "zeta"), name="zara")
        yield client


def routes(client: Client) -> list[Route[Any, Any]]:
    assert client.app is not None
    return [route for route in client.app[API].routes if route.right is not None]


def named(path: str, which: int) -> str:
    return re.sub(r"{(\w+)}", lambda found: NAMED.get(found[1], ("x", "x"))[which], path)


async def asked(client: Client, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    async with client.request(method, path, headers=headers, json={}, allow_redirects=False) as answer:
        if answer.content_type == "text/event-stream":
            return answer.status, ""
        return answer.status, await answer.text()


@pytest.mark.P11
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_a_strangers_answers_as_what_is_not_there(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with two_tenants(kind, request, tmp_path) as client:
        assert client.app is not None
        walked = 0
        for grant in (Grant(Role.ADMIN, "acme"), Grant(Role.ADMIN, "acme", "acme-mill"), Grant(Role.VIEWER, "acme")):
            headers = await bearer(client.app, grant, name="ann")
            for route in routes(client):
                if not re.search(r"{(organisation|site|node)}", route.path):
                    continue
                foreign = await asked(client, route.method, named(route.path, 0), headers)
                missing = await asked(client, route.method, named(route.path, 1), headers)
                assert foreign == missing, route
                assert foreign[0] == 404, route
                walked += 1
            lone = await asked(client, "GET", "/api/v1/nodes/lone-node/commands", headers)
            assert lone == await asked(client, "GET", "/api/v1/nodes/missing/commands", headers)
        assert walked > 9


@pytest.mark.P11
@pytest.mark.parametrize("kind", KINDS)
async def test_no_list_and_no_page_names_what_is_a_strangers(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with two_tenants(kind, request, tmp_path) as client:
        assert client.app is not None
        headers = await bearer(client.app, Grant(Role.ADMIN, "acme"), name="ann")
        own = 0
        pages = [route.resource.canonical for route in client.app.router.routes() if route.resource is not None]
        lists = [route.path for route in routes(client) if route.method == "GET"]
        for path in {path for path in (*pages, *lists) if "{" not in path and not path.startswith(("/static", "/hub"))}:
            if path in ("/healthz", "/sign-in", "/api/v1/commands"):
                continue
            status, text = await asked(client, "GET", path, headers)
            if status == 200:
                assert not [other for other in OTHERS if other in text], path
                own += "acme" in text
        assert own > 2


@pytest.mark.P11
async def test_a_role_is_enough_for_what_it_is_for_and_no_more(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with two_tenants("sqlite", request, tmp_path) as client:
        assert client.app is not None
        for role in Role:
            headers = await bearer(client.app, Grant(role, "acme"), name="ann")
            for route in routes(client):
                path = named(route.path, 0).replace("zeta", "acme").replace("zara", "missing")
                if route.method == "DELETE" or route.media != "application/json":
                    continue
                status, _ = await asked(client, route.method, path, headers)
                assert route.right is not None
                if not role.includes(route.right):
                    assert status == 403, (role, route.method, path)
                else:
                    assert status != 401, (role, route.method, path)


IDS = st.sampled_from(["", "a", "b"])
PLACES = st.builds(
    lambda organisation, site: Place(organisation, f"{organisation}-{site}" if organisation and site else ""), IDS, IDS
)
GRANTS = st.builds(lambda role, place: Grant(role, place.organisation, place.site), st.sampled_from(Role), PLACES)
CALLERS = st.builds(lambda grants: Caller("ann", tuple(grants)), st.lists(GRANTS, max_size=4))


@pytest.mark.P11
@given(CALLERS, PLACES, st.sampled_from(Role))
def test_a_grant_reaches_its_scope_and_nothing_else(caller: Caller, place: Place, role: Role) -> None:
    reached = any(
        grant.role.includes(role) and grant.organisation in ("", place.organisation) and grant.site in ("", place.site)
        for grant in caller.grants
    )
    assert caller.may(role, place) == reached
    if caller.may(role):
        assert caller.may(role, place), "everywhere is everywhere"
    if caller.may(role, place):
        assert all(caller.may(less, place) for less in Role if role.includes(less))


@pytest.mark.P11
@given(CALLERS, st.lists(GRANTS, max_size=3), PLACES)
def test_nobody_manages_a_person_that_may_anything_where_it_is_no_administrator(
    caller: Caller, grants: Iterable[Grant], place: Place
) -> None:
    person = Caller("eve", tuple(grants))
    if manages(caller, Person("eve", person.grants, 0)) and person.may(Role.VIEWER, place):
        assert caller.may(Role.ADMIN, place)
    assert manages(Caller("root", (Grant(Role.ADMIN),)), Person("eve", person.grants, 0))
    assert not manages(Caller(), Person("eve", person.grants, 0))


@pytest.mark.P11
@pytest.mark.parametrize("kind", KINDS)
async def test_the_store_lists_exactly_whom_a_caller_manages(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    scopes = [Grant(Role.ADMIN), Grant(Role.ADMIN, "acme"), Grant(Role.ADMIN, "acme", "acme-mill"),
              Grant(Role.VIEWER), Grant(Role.VIEWER, "acme"), Grant(Role.VIEWER, "zeta", "zeta-mill")]  # fmt: skip
    sets = [(one,) for one in scopes] + [(scopes[1], scopes[5]), (scopes[2], scopes[4])]
    async with two_tenants(kind, request, tmp_path) as client:
        assert client.app is not None
        people = client.app[SIGNED].people
        for number, grants in enumerate(sets):
            distinct = tuple({grant.scope: grant for grant in grants}.values())
            await people.add(f"p{number}", "a password", distinct, NOW)
        await people.add("without", "a password", [], NOW)
        everybody = await people.listed("root", "", 100)
        assert len(everybody) == len(sets) + 3
        for caller in everybody:
            wanted = [one for one in everybody if manages(Caller(caller.name, caller.grants), one)]
            assert await people.listed(caller.name, "", 100) == wanted, caller


async def test_a_node_is_seen_as_soon_as_it_is_moved_to_a_site(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with two_tenants("sqlite", request, tmp_path) as client:
        assert client.app is not None
        ann = await bearer(client.app, Grant(Role.VIEWER, "acme"), name="ann")
        root = await bearer(client.app, Grant(Role.ADMIN), name="root")
        path = "/api/v1/nodes/lone-node/commands"
        assert (await asked(client, "GET", path, ann))[0] == 404
        async with client.put("/api/v1/nodes/lone-node/site", json={"site": "acme-mill"}, headers=root) as answer:
            assert answer.status == 204
        assert (await asked(client, "GET", path, ann))[0] == 200
