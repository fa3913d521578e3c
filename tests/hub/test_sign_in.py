"""Signing in and out of the hub, by page and by token, and what holds up who guesses; on both stores."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import TestClient
from argon2 import PasswordHasher

from sync.hub.app import CHORES, OPEN_PATHS, SIGNED
from sync.hub.config import HubConfig, PeopleConfig
from sync.hub.people.buckets import Buckets
from sync.hub.people.failures import WAIT_MAX_MS, pause_ms
from sync.hub.people.passwords import Passwords, generated
from sync.hub.people.people import People
from sync.hub.people.signinapi import local
from sync.hub.people.tokens import LASTS_S
from sync.hub.web.rights import Grant, Role
from tests.hub.clock import NOW, StoppedClock
from tests.hub.signed import hub
from tests.hub.stores import KINDS

PASSWORD = "correct horse battery staple"
Client = TestClient[Any, Any]
BOTH = pytest.mark.parametrize("kind", KINDS)


@asynccontextmanager
async def bobs(
    kind: str, request: pytest.FixtureRequest, folder: Path, clock: StoppedClock | None = None, **people: Any
) -> AsyncIterator[Client]:
    """A hub that knows Bob, who may do everything."""
    config = HubConfig(store="hub.db", people=PeopleConfig(**people))
    async with hub(kind, request, folder, clock or StoppedClock(), config) as client:
        assert client.app is not None
        await client.app[SIGNED].people.add("bob", PASSWORD, [Grant(Role.ADMIN)], NOW)
        yield client


async def by_form(client: Client, name: str = "bob", password: str = PASSWORD, **more: Any) -> Any:
    form = {"name": name, "password": password, "to": "/me"}
    return await client.post("/sign-in", data=form, allow_redirects=False, **more)


async def by_api(client: Client, name: str = "bob", password: str = PASSWORD, **more: Any) -> Any:
    return await client.post("/api/v1/sign-in", json={"name": name, "password": password}, **more)


async def tokens(client: Client) -> dict[str, str]:
    answer = await by_api(client)
    assert answer.status == 200
    found: dict[str, str] = await answer.json()
    return found


async def me(client: Client, token: str) -> int:
    return (await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})).status


async def csrf(client: Client) -> dict[str, str]:
    found = re.search(r'name="csrf" content="([^"]+)"', await (await client.get("/me")).text())
    assert found
    return {"X-CSRF-Token": found[1]}


@pytest.mark.P11
@BOTH
async def test_a_person_signs_in_by_the_page_goes_where_it_wanted_and_signs_out(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with bobs(kind, request, tmp_path) as client:
        asked = await client.get("/people?after=", allow_redirects=False)
        assert asked.status == 303
        assert 'value="/people?after="' in await (await client.get("/people?after=")).text()
        answer = await by_form(client)
        assert (answer.status, answer.headers["Location"]) == (303, "/me")
        assert "HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Lax" in answer.headers["Set-Cookie"]
        page = await client.get("/me")
        assert "bob" in await page.text()
        for header in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"):
            assert header in page.headers
        assert (await client.post("/api/v1/sign-out", headers=await csrf(client))).status == 204
        assert (await client.get("/me", allow_redirects=False)).status == 303


@BOTH
async def test_a_cookie_is_for_tls_alone_where_browsers_come_by_tls(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with bobs(kind, request, tmp_path, public_url="https://hub.example") as client:
        answer = await by_form(client, headers={"Origin": "https://hub.example"})
        assert answer.headers["Set-Cookie"].startswith("__Host-holdfast=")
        assert "Secure" in answer.headers["Set-Cookie"]
        assert (await by_form(client, headers={"Origin": str(client.make_url(""))})).status == 403


@pytest.mark.P11
@BOTH
async def test_an_act_by_cookie_wants_the_pages_token_and_a_page_of_ours(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with bobs(kind, request, tmp_path) as client:
        await by_form(client)
        right, body = await csrf(client), {"name": "Acme"}
        for headers in (
            {}, {"X-CSRF-Token": "wrong"}, {"X-CSRF-Token": "\udce9"}, right | {"Origin": "https://evil.example"},
            right | {"Origin": "null"}, right | {"Origin": "http://["}, right | {"Sec-Fetch-Site": "cross-site"},
            right | {"Sec-Fetch-Site": "same-site"},
        ):  # fmt: skip
            assert (await client.post("/api/v1/organisations", json=body, headers=headers)).status == 403, headers
        assert (await client.post("/api/v1/carry", data=b"a file")).status == 403
        own = {"Origin": str(client.make_url("")).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        assert (await client.post("/api/v1/organisations", json=body, headers=right | own)).status == 201
        assert (await client.post("/api/v1/carry", data=b"a file", headers=right)).status == 400
        client.session.cookie_jar.clear()
        assert (await by_form(client, headers={"Sec-Fetch-Site": "cross-site"})).status == 403
        assert (await by_form(client, headers={"Origin": "https://evil.example"})).status == 403


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example", "https://evil.example", "", "me", "/a\nb", "/a b"])
def test_signing_in_leads_to_no_other_site(to: str) -> None:
    assert local(to) == "/"
    assert local("/nodes?x=1#y") == "/nodes?x=1#y"


@pytest.mark.P11
@BOTH
async def test_a_wrong_password_and_an_unknown_name_are_told_alike(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with bobs(kind, request, tmp_path) as client:
        told = []
        for name, password in (("bob", "wrong"), ("nobody", PASSWORD), (" bob", PASSWORD), ("a\x00b", "x")):
            answer = await by_api(client, name, password)
            told.append((answer.status, await answer.text()))
        assert set(told) == {(401, '{"error":"unknown name or wrong password"}')}
        page = await by_form(client, "<script>", "wrong")
        assert page.status == 401
        assert "<script>" not in (await page.text()).replace('<script type="module"', "")


class Counted(PasswordHasher):
    """Counts how often it checks."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.checked = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:
        self.checked += 1
        return super().verify(hash, password)


async def test_the_password_of_nobody_is_checked_as_long_as_anybodys() -> None:
    hasher = Counted()
    passwords = Passwords(hasher)
    assert not await passwords.matches("x", None)
    assert await passwords.matches("x", await passwords.hashed("x"))
    assert hasher.checked == 2


@BOTH
async def test_a_password_is_hashed_anew_when_the_parameters_change(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with bobs(kind, request, tmp_path) as client:
        assert client.app is not None
        sql = client.app[SIGNED].sql
        before = await sql.fetch("SELECT argon2 FROM person")
        better = People(sql, Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)))
        assert await better.matches("bob", PASSWORD)
        after = await sql.fetch("SELECT argon2 FROM person")
        assert "m=16,t=2" in after[0][0] != before[0][0]
        assert await better.matches("bob", PASSWORD)
        assert await sql.fetch("SELECT argon2 FROM person") == after


def test_the_usual_parameters_are_those_of_the_rfc_for_little_memory() -> None:
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in asyncio.run(Passwords().hashed("x"))
    assert len(generated()) >= 20


@pytest.mark.P11
@BOTH
async def test_after_failures_a_name_waits_longer_each_time_whether_it_is_known_or_not(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    clock = StoppedClock()
    async with bobs(kind, request, tmp_path, clock) as client:
        waits: dict[str, list[str]] = {"bob": [], "nobody": []}
        for name, told in waits.items():
            for _ in range(8):
                answer = await by_api(client, name, "wrong")
                told.append(answer.headers.get("Retry-After", str(answer.status)))
                if answer.status == 429:
                    assert (await by_api(client, name)).status == 429, "not even with the right password"
                    clock.pass_s(int(answer.headers["Retry-After"]))
            clock.pass_s(600)
        assert waits["bob"] == waits["nobody"] == ["401", "401", "401", "401", "401", "2", "401", "4"]
        assert (await by_api(client)).status == 200
        assert (await by_api(client, password="wrong")).status == 401, "one that signed in begins anew"
        assert (await by_api(client)).status == 200


def test_the_wait_grows_up_to_a_bound() -> None:
    assert [pause_ms(failures) for failures in (0, 4, 5, 6, 7)] == [0, 0, 2000, 4000, 8000]
    assert pause_ms(50) == pause_ms(10_000) == WAIT_MAX_MS


@pytest.mark.P11
@BOTH
async def test_many_tries_at_once_count_each(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with bobs(kind, request, tmp_path) as client:
        answers = await asyncio.gather(*(by_api(client, password="wrong") for _ in range(15)))
        assert sorted(answer.status for answer in answers) == [401] * 5 + [429] * 10


@pytest.mark.P11
@BOTH
async def test_strangers_failures_lock_nobody_out_who_comes_from_elsewhere(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    clock = StoppedClock()
    async with bobs(kind, request, tmp_path, clock, proxies=("127.0.0.0/8",)) as client:
        home, stranger = ({"X-Forwarded-For": address} for address in ("203.0.113.8", "203.0.113.7"))
        for _ in range(6):
            refused = await by_api(client, password="wrong", headers=stranger)
        assert refused.status == 429
        assert (await by_api(client, headers=stranger)).status == 429, "not even with the right password"
        assert (await by_api(client, headers=home)).status == 200


@pytest.mark.P11
@BOTH
async def test_failures_at_many_addresses_lock_a_name_but_where_it_is_known(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    clock = StoppedClock()
    async with bobs(kind, request, tmp_path, clock, proxies=("127.0.0.0/8",)) as client:
        assert (await by_api(client, headers={"X-Forwarded-For": "203.0.113.8"})).status == 200
        for name in ("bob", "nobody"):
            statuses = [
                (await by_api(client, name, "wrong", headers={"X-Forwarded-For": f"2001:db8:{n:x}::1"})).status
                for n in range(101)
            ]
            assert statuses == [401] * 100 + [429], name
        assert (await by_api(client, headers={"X-Forwarded-For": "203.0.113.9"})).status == 429
        clock.pass_s(0.5)
        assert (await by_api(client, headers={"X-Forwarded-For": "203.0.113.8"})).status == 200
        assert (await by_api(client, headers={"X-Forwarded-For": "203.0.113.9"})).status == 200, "it begins anew"


async def test_a_proxy_that_is_not_named_is_told_of_once(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with bobs("sqlite", request, tmp_path) as client:
        for _ in range(3):
            await by_api(client, headers={"X-Forwarded-For": "203.0.113.7"})
    told = [record for record in caplog.records if record.name == "sync.hub.people.signin"]
    assert [record.getMessage() for record in told] == ["X-Forwarded-For is not believed"]
    assert "people.proxies" in str(told[0].__dict__)


@pytest.mark.P11
async def test_an_address_that_tries_many_names_waits_and_another_does_not(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with bobs("sqlite", request, tmp_path, proxies=("127.0.0.0/8",)) as client:
        guesser, other = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8, 127.0.0.3"}
        statuses = [(await by_form(client, f"name{number}", "x", headers=guesser)).status for number in range(21)]
        assert statuses == [401] * 20 + [429]
        late = await by_api(client, headers=guesser | {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"})
        assert (late.status, late.headers["Retry-After"]) == (429, "6"), "it cannot say that it is somebody else"
        assert (await by_api(client, headers=other)).status == 200


@pytest.mark.P11
@BOTH
async def test_an_access_token_is_good_for_a_quarter_of_an_hour_and_a_refresh_token_once(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    clock = StoppedClock()
    async with bobs(kind, request, tmp_path, clock) as client:
        first = await tokens(client)
        other = await tokens(client)
        assert await me(client, first["access_token"]) == 200
        clock.pass_s(LASTS_S)
        assert await me(client, first["access_token"]) == 401
        answer = await client.post("/api/v1/refresh", json={"refresh_token": first["refresh_token"]})
        second = await answer.json()
        assert await me(client, second["access_token"]) == 200
        again = await client.post("/api/v1/refresh", json={"refresh_token": first["refresh_token"]})
        assert again.status == 401
        assert await me(client, second["access_token"]) == 401, "its whole family ends"
        late = await client.post("/api/v1/refresh", json={"refresh_token": second["refresh_token"]})
        assert late.status == 401
        kept = await client.post("/api/v1/refresh", json={"refresh_token": other["refresh_token"]})
        assert kept.status == 200, "another family does not"
        bearer = {"Authorization": f"bearer {(await kept.json())['access_token']}"}
        assert (await client.post("/api/v1/sign-out", headers=bearer)).status == 204
        assert (await client.get("/api/v1/me", headers=bearer)).status == 401


@pytest.mark.P11
@BOTH
async def test_a_token_that_is_not_ours_is_none(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with bobs(kind, request, tmp_path) as client:
        token = (await tokens(client))["access_token"]
        assert client.app is not None
        ((key,),) = await client.app[SIGNED].sql.fetch("SELECT value FROM setting WHERE name = 'jwt_key'")
        assert len(key) == 32
        claims = jwt.decode(token, options={"verify_signature": False})
        forged = [
            jwt.encode(claims, b"x" * 32, "HS256"),
            jwt.encode(claims, bytes(key) * 2, "HS512"),
            jwt.encode(claims, None, "none"),
            jwt.encode(claims | {"aud": "another"}, bytes(key), "HS256"),
            jwt.encode(claims | {"iss": "another"}, bytes(key), "HS256"),
            jwt.encode(claims | {"sub": "ann"}, bytes(key), "HS256"),
            jwt.encode({name: value for name, value in claims.items() if name != "exp"}, bytes(key), "HS256"),
            "", "a.b.c", token[:-3],
        ]  # fmt: skip
        assert [await me(client, one) for one in forged] == [401] * len(forged)
        basic = {"Authorization": "Basic Ym9iOmNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGU="}
        assert (await client.get("/api/v1/me", headers=basic)).status == 401
        assert await me(client, token) == 200


@pytest.mark.P11
@BOTH
async def test_who_is_disabled_or_gets_other_rights_or_another_password_feels_it_at_once(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with bobs(kind, request, tmp_path) as client:
        assert client.app is not None
        people = client.app[SIGNED].people
        await people.add("eve", PASSWORD, [Grant(Role.ADMIN)], NOW)
        answer = await by_api(client, "eve")
        token = (await answer.json())["access_token"]
        await by_form(client, "eve")
        assert (await client.get("/people")).status == 200
        await people.change("eve", [Grant(Role.VIEWER)], disabled=False)
        assert (await client.get("/people")).status == 403
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/api/v1/people", headers=bearer)).status == 403
        await people.change("eve", [Grant(Role.VIEWER)], disabled=True)
        assert (await client.get("/me", allow_redirects=False)).status == 303
        assert await me(client, token) == 401
        assert (await by_api(client, "eve")).status == 401
        await people.change("eve", [Grant(Role.VIEWER)], disabled=False)
        assert await me(client, token) == 401, "who is let in again has to sign in again"
        assert (await client.get("/me", allow_redirects=False)).status == 303
        token = (await (await by_api(client, "eve")).json())["access_token"]
        assert await me(client, token) == 200
        await people.set_password("eve", "another password, longer")
        assert await me(client, token) == 401
        assert (await client.get("/me", allow_redirects=False)).status == 303


@BOTH
async def test_a_session_lasts_from_its_last_request_on_or_from_its_begin_by_setting(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    for slides, status in ((True, 200), (False, 303)):
        clock, folder = StoppedClock(), tmp_path / str(slides)
        folder.mkdir()
        async with bobs(kind, request, folder, clock, session_h=1, session_slides=slides) as client:
            await by_form(client)
            clock.pass_s(2000)
            assert (await client.get("/me", allow_redirects=False)).status == 200
            clock.pass_s(2000)
            assert (await client.get("/me", allow_redirects=False)).status == status
            clock.pass_s(3601)
            assert (await client.get("/me", allow_redirects=False)).status == 303


@BOTH
async def test_what_ran_out_is_forgotten(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    clock = StoppedClock()
    async with bobs(kind, request, tmp_path, clock) as client:
        await by_form(client)
        await tokens(client)
        await by_api(client, "nobody", "x")
        clock.pass_s(31 * 86_400)
        assert client.app is not None
        chores = client.app[CHORES]
        await chores.turn(next(chore for chore in chores.all if chore.name == "sign-ins"))
        for table in ("session", "refresh_token", "sign_in_failure"):
            assert [tuple(row) for row in await client.app[SIGNED].sql.fetch(f"SELECT count(*) FROM {table}")] == [(0,)]


@BOTH
async def test_no_token_is_kept_as_it_is(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with bobs(kind, request, tmp_path) as client:
        cookie = (await by_form(client)).cookies["holdfast"].value
        refresh = (await tokens(client))["refresh_token"]
        assert client.app is not None
        for table in ("session", "refresh_token", "person"):
            rows = str([tuple(row) for row in await client.app[SIGNED].sql.fetch(f"SELECT * FROM {table}")])
            assert cookie not in rows and refresh not in rows and PASSWORD not in rows


async def test_who_asks_too_often_waits_and_nobody_else(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with bobs("sqlite", request, tmp_path, requests_per_s=0.5) as client:
        token = (await tokens(client))["access_token"]
        statuses = [await me(client, token) for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        late = await client.get("/me", headers={"Authorization": f"Bearer {token}"})
        assert (late.status, late.headers["Retry-After"]) == (429, "2")


def test_buckets_fill_with_time_and_are_so_many_at_most() -> None:
    clock = StoppedClock()
    buckets = Buckets(1, 2, clock, kept_max=2)
    assert [buckets.wait_s("a") for _ in range(3)] == [0, 0, 1]
    clock.pass_s(1)
    assert [buckets.wait_s("a") for _ in range(2)] == [0, 1]
    for other in ("b", "c"):
        buckets.wait_s(other)
    assert buckets.wait_s("a") == 0, "it was forgotten"


@pytest.mark.P11
async def test_nothing_but_the_open_paths_is_open(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with bobs("sqlite", request, tmp_path) as client:
        assert client.app is not None
        for route in client.app.router.routes():
            path = route.resource.canonical if route.resource else ""
            if path in OPEN_PATHS or route.method == "HEAD":
                continue
            answer = await client.request(route.method, re.sub(r"{\w+}", "x", path), json={}, allow_redirects=False)
            assert answer.status in (401, 303), (route.method, path)
            assert answer.status == 401 or answer.headers["Location"].startswith("/sign-in?to=")


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"name=bob" + b"x" * 9000, {"Content-Type": "application/x-www-form-urlencoded"}, 413),
        (b"&".join(b"a=1" for _ in range(20)), {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"\xff\xfe=%ff", {"Content-Type": "application/x-www-form-urlencoded"}, 401),
    ],
)
async def test_a_form_that_is_none_is_refused_in_words(
    request: pytest.FixtureRequest, tmp_path: Path, data: bytes, headers: dict[str, str], status: int
) -> None:
    async with bobs("sqlite", request, tmp_path) as client:
        answer = await client.post("/sign-in", data=data, headers=headers)
        assert (answer.status, 'role="alert"' in await answer.text()) == (status, True)
