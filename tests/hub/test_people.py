"""People and their rights, organisations and sites, over the API; on both stores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from sync.hub.app import SIGNED
from sync.hub.people.acts import Acts
from sync.hub.people.sites import slug_of
from sync.hub.web.rights import Caller, Grant, Role
from tests.hub.clock import NOW, StoppedClock
from tests.hub.signed import bearer, hub
from tests.hub.stores import KINDS

Client = TestClient[Any, Any]
BOTH = pytest.mark.parametrize("kind", KINDS)
EVIL = "<script>alert(1)</script>'); DROP TABLE person;--"


class Who:
    """Asks as one person."""

    def __init__(self, client: Client, headers: dict[str, str]) -> None:
        self._client = client
        self.headers = headers

    async def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        async with self._client.request(method, path, json=body, headers=self.headers) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None


class Fleet:
    """Two organisations, each with two sites."""

    def __init__(self, client: Client, root: Who) -> None:
        assert client.app is not None
        self.client, self.app, self.root = client, client.app, root

    async def who(self, name: str, *grants: Grant) -> Who:
        return Who(self.client, await bearer(self.app, *grants, name=name))


@asynccontextmanager
async def fleet(kind: str, request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Fleet]:
    async with hub(kind, request, folder, StoppedClock()) as client:
        assert client.app is not None
        root = Who(client, await bearer(client.app, name="root"))
        for organisation in ("acme", "zeta"):
            assert (await root("POST", "/api/v1/organisations", {"name": organisation.title()}))[0] == 201
            for site in ("mill", "farm"):
                made = {"organisation": organisation, "name": site, "id": f"{organisation}-{site}"}
                assert (await root("POST", "/api/v1/sites", made))[0] == 201
        yield Fleet(client, root)


ACME_ADMIN = Grant(Role.ADMIN, "acme")


def names(answer: tuple[int, Any], key: str = "name") -> list[str]:
    status, body = answer
    assert status == 200, body
    return [item[key] for item in body["items"]]


@pytest.mark.P11
@BOTH
async def test_an_administrator_lets_people_in_and_they_may_what_was_granted(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with fleet(kind, request, tmp_path) as at:
        ann = await at.who("ann", ACME_ADMIN)
        status, made = await ann(
            "POST", "/api/v1/people", {"name": "eve", "grants": [{"role": "viewer", "organisation": "acme"}]}
        )
        assert status == 201 and len(made["password"]) > 20
        status, tokens = await ann("POST", "/api/v1/sign-in", {"name": "eve", "password": made["password"]})
        assert status == 200
        eve = Who(at.client, {"Authorization": f"Bearer {tokens['access_token']}"})
        assert await eve("GET", "/api/v1/me") == (
            200, {"name": "eve", "grants": [{"role": "viewer", "organisation": "acme", "site": ""}]},
        )  # fmt: skip
        assert names(await eve("GET", "/api/v1/sites"), "id") == ["acme-farm", "acme-mill"]
        assert (await eve("POST", "/api/v1/people", {"name": "x", "grants": [{"role": "viewer"}]}))[0] == 403
        new = {"old": made["password"], "new": "a longer one of her own"}
        assert (await eve("PUT", "/api/v1/me/password", new | {"old": "wrong"}))[0] == 400
        assert (await eve("PUT", "/api/v1/me/password", new | {"new": "short"}))[0] == 400
        assert (await eve("PUT", "/api/v1/me/password", new))[0] == 204
        assert (await eve("GET", "/api/v1/me"))[0] == 401, "signed out wherever it was"
        assert (await ann("DELETE", "/api/v1/people/eve"))[0] == 204
        assert (await ann("POST", "/api/v1/sign-in", {"name": "eve", "password": new["new"]}))[0] == 401


@pytest.mark.P11
@BOTH
async def test_an_administrator_gives_and_sees_nothing_beyond_its_scope(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with fleet(kind, request, tmp_path) as at:
        ann = await at.who("ann", ACME_ADMIN, Grant(Role.VIEWER, "zeta"))
        people = {
            "in": [Grant(Role.OPERATOR, "acme", "acme-mill")],
            "out": [Grant(Role.VIEWER, "zeta")],
            "both": [Grant(Role.VIEWER, "acme"), Grant(Role.VIEWER, "zeta")],
            "all": [Grant(Role.VIEWER)],
        }
        for name, grants in people.items():
            await at.who(name, *grants)
        assert names(await ann("GET", "/api/v1/people")) == ["in"]
        missing = await ann("PUT", "/api/v1/people/nobody", {"disabled": True})
        for name in ("out", "both", "all", "root", "ann"):
            assert await ann("PUT", f"/api/v1/people/{name}", {"disabled": True}) == missing
            assert await ann("DELETE", f"/api/v1/people/{name}") == missing
        for scope in (
            {}, {"organisation": "zeta"}, {"organisation": "zeta", "site": "zeta-mill"}, {"organisation": "nowhere"},
            {"organisation": "acme", "site": "zeta-mill"}, {"organisation": "acme", "site": "none"},
        ):  # fmt: skip
            body = {"name": "new", "grants": [{"role": "viewer", **scope}]}
            assert (await ann("POST", "/api/v1/people", body))[0] == 404
            assert (await ann("PUT", "/api/v1/people/in", {"grants": body["grants"]}))[0] == 404
        more = [{"role": "admin", "organisation": "acme", "site": "acme-mill"}]
        assert (await ann("PUT", "/api/v1/people/in", {"grants": more}))[0] == 200
        assert (await ann("PUT", "/api/v1/people/in", {"new_password": True}))[1]["password"]
        assert "all" in names(await at.root("GET", "/api/v1/people"))


@pytest.mark.P11
@BOTH
async def test_somebody_is_always_left_who_may_do_everything(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with fleet(kind, request, tmp_path) as at:
        less = [{"role": "admin", "organisation": "acme"}]
        for method, body in (("DELETE", None), ("PUT", {"disabled": True}), ("PUT", {"grants": less})):
            assert (await at.root(method, "/api/v1/people/root", body))[0] == 409
        await at.who("second", Grant(Role.ADMIN))
        assert (await at.root("PUT", "/api/v1/people/root", {"grants": less}))[0] == 200


@pytest.mark.P11
@BOTH
async def test_names_of_people_and_places_are_text_and_nothing_else(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with fleet(kind, request, tmp_path) as at:
        name = EVIL[:64]
        grants = [{"role": "viewer", "organisation": "acme"}]
        assert (await at.root("POST", "/api/v1/people", {"name": name, "grants": grants}))[0] == 201
        assert (await at.root("POST", "/api/v1/people", {"name": name, "grants": grants}))[0] == 409
        organisation = (await at.root("POST", "/api/v1/organisations", {"name": name}))[1]["id"]
        made = {"organisation": organisation, "name": name}
        assert (await at.root("POST", "/api/v1/sites", made))[0] == 201
        for page in ("/people", "/sites"):
            text = await (await at.client.get(page, headers=at.root.headers)).text()
            assert "<script>alert" not in text
            assert "&lt;script&gt;alert" in text
        assert names(await at.root("GET", "/api/v1/people"))[0] == name
        for wrong in ("", " x", "a\nb", ".", "..", "x" * 65, "a\x00b", "\u202eevil"):
            assert (await at.root("POST", "/api/v1/people", {"name": wrong, "grants": grants}))[0] == 400, wrong
        for bad in ([], [{"role": "owner"}], [{"role": "viewer", "site": "acme-mill"}], [grants[0], grants[0]]):
            assert (await at.root("POST", "/api/v1/people", {"name": "good", "grants": bad}))[0] == 400
        for odd in ("é/ü", "a%2Fb", "q?x#y"):
            assert (await at.root("POST", "/api/v1/people", {"name": odd, "grants": grants}))[0] == 201
            path = URL(f"/api/v1/people/{quote(odd, safe='')}", encoded=True)
            async with at.client.delete(path, headers=at.root.headers) as answer:
                assert answer.status == 204, odd


@BOTH
async def test_sites_are_made_renamed_and_deleted_when_they_are_empty(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with fleet(kind, request, tmp_path) as at:
        ann = await at.who("ann", ACME_ADMIN)
        made = {"organisation": "acme", "name": "Młyn & Söhne 4", "timezone": "Europe/Warsaw"}
        status, site = await ann("POST", "/api/v1/sites", made)
        assert (status, site["id"], site["timezone"]) == (201, "myn-sohne-4", "Europe/Warsaw")
        assert (await ann("POST", "/api/v1/sites", made))[0] == 409
        for zone in ("Mars/Olympus", "../../etc/passwd", "Europe", "", "a\x00b"):
            assert (await ann("PUT", f"/api/v1/sites/{site['id']}", {"timezone": zone}))[0] == 400, zone
        assert (await ann("PUT", f"/api/v1/sites/{site['id']}", {"name": "Mill"}))[0] == 204
        assert (await ann("PUT", "/api/v1/nodes/n-1/site", {"site": site["id"]}))[0] == 404
        async with at.app[SIGNED].sql.transaction() as db:
            await db.execute("INSERT INTO node (id, first_seen, last_seen) VALUES ('n-1', 0, 0)")
        assert (await ann("PUT", "/api/v1/nodes/n-1/site", {"site": site["id"]}))[0] == 404, "nobody's yet"
        assert (await at.root("PUT", "/api/v1/nodes/n-1/site", {"site": site["id"]}))[0] == 204
        found = (await ann("GET", "/api/v1/sites"))[1]["items"][-1]
        assert found == {"id": "myn-sohne-4", "organisation": "acme", "name": "Mill", "timezone": "Europe/Warsaw",
                         "nodes": 1}  # fmt: skip
        assert (await ann("DELETE", f"/api/v1/sites/{site['id']}"))[0] == 409
        assert (await ann("PUT", "/api/v1/nodes/n-1/site", {"site": "zeta-mill"}))[0] == 404
        assert (await ann("PUT", "/api/v1/nodes/n-1/site", {"site": "acme-mill"}))[0] == 204
        await at.who("eve", Grant(Role.VIEWER, "acme", site["id"]), ACME_ADMIN)
        assert (await ann("DELETE", f"/api/v1/sites/{site['id']}"))[0] == 204
        assert (await at.app[SIGNED].people.person("eve")).grants == (ACME_ADMIN,)  # type: ignore[union-attr]
        assert (await ann("PUT", "/api/v1/organisations/acme", {"name": "Acme & Co"}))[0] == 204
        assert (await ann("DELETE", "/api/v1/organisations/acme"))[0] == 403
        assert (await at.root("DELETE", "/api/v1/organisations/acme"))[0] == 409
        assert (await at.root("POST", "/api/v1/organisations", {"name": "Gone"}))[0] == 201
        assert (await at.root("DELETE", "/api/v1/organisations/gone"))[0] == 204


@BOTH
async def test_lists_come_in_pieces(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with fleet(kind, request, tmp_path) as at:
        for path, every in (("/api/v1/sites", 4), ("/api/v1/organisations", 2)):
            found, after = [], ""
            for _ in range(every):
                _, piece = await at.root("GET", f"{path}?limit=1&after={after}")
                found += [item["id"] for item in piece["items"]]
                after = piece["next"]
            assert (found, after) == (sorted(found), "")
            assert len(set(found)) == every
        assert (await at.root("POST", "/api/v1/organisations", {"name": "Everywhere"}))[0] == 400
        for wrong in ("after=x", "limit=0", "limit=1001", "limit=x", "since=1"):
            assert (await at.root("GET", f"/api/v1/sites?{wrong}"))[0] == 400, wrong


@pytest.mark.P11
@BOTH
async def test_each_act_is_kept_and_shown_to_who_administers_the_place(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with fleet(kind, request, tmp_path) as at:
        await at.who("ann", ACME_ADMIN)
        acts = Acts(at.app[SIGNED].sql)
        told = [(act.person, act.action, act.object) for act in await acts.listed(Caller("ann"))]
        assert told == [
            ("root", "made a site", "acme-farm"), ("root", "made a site", "acme-mill"),
            ("root", "made an organisation", "acme"),
        ]  # fmt: skip
        every = await acts.listed(Caller("root"))
        assert len(every) == 6
        assert (every[0].at, every[0].address) == (NOW, "127.0.0.1")
        assert await acts.listed(Caller("root"), before=every[1].id) == every[2:]
        assert await acts.listed(Caller("nobody")) == []
        status, piece = await at.root("GET", "/api/v1/acts?limit=4")
        assert (status, piece["items"]) == (200, msgspec.to_builtins(every[:4]))
        status, piece = await at.root("GET", f"/api/v1/acts?limit=4&after={piece['next']}")
        assert (piece["items"], piece["next"]) == (msgspec.to_builtins(every[4:]), "")
        page = await at.client.get("/acts", headers=at.root.headers)
        assert "made a site: zeta-farm" in await page.text()
        await at.who("eve", Grant(Role.VIEWER, "acme"))
        assert await acts.listed(Caller("eve")) == []
        await at.who("max", Grant(Role.ADMIN, "acme", "acme-mill"))
        assert [act.object for act in await acts.listed(Caller("max"))] == ["acme-mill"]


@BOTH
async def test_the_administrator_is_made_once_where_nobody_is_known(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with hub(kind, request, tmp_path, StoppedClock()) as client:
        assert client.app is not None
        people = client.app[SIGNED].people
        assert await people.add_first("a password", NOW)
        assert not await people.add_first("another", NOW)
        assert await people.matches("admin", "a password")
        assert (await people.person("admin")).grants == (Grant(Role.ADMIN),)  # type: ignore[union-attr]


def test_an_id_is_made_of_a_name() -> None:
    assert [slug_of(name) for name in ("Mill Lane 4", "  Ä-ö  ", "日本", "x" * 99)] == [
        "mill-lane-4",
        "a-o",
        "",
        "x" * 64,
    ]
