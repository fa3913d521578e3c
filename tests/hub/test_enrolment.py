"""Gateways come with a claim code, go over to other secrets, are revoked and replaced; on both stores."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from gateway.core.credential import digest
from sync import enrol, wire
from sync.hub.config import HubConfig, NodeConfig, PeopleConfig
from sync.hub.enrol.registry import BESIDE_MS
from sync.hub.store.contract import Store
from sync.hub.web.rights import Grant, Role
from tests.hub.enrolling import Broker, MovedClock, asked, claim, come, hub_of, push
from tests.hub.signed import sign_in
from tests.hub.stores import audit, opened
from tests.values import METER, power

ONE, TWO = "the first secret, which is long", "the second secret, which is long"
DAY_MS = 86_400_000


async def said(hub: object, node: str) -> dict[str, object]:
    _, page = await asked(hub, "GET", "/api/v1/enrolled")  # type: ignore[arg-type]
    return next(one for one in page["items"] if one["node"] == node)


@pytest.mark.P11
async def test_a_gateway_comes_with_a_code_and_gets_what_its_transports_need(store: Store) -> None:
    broker = Broker()
    async with hub_of(store, broker) as hub:
        code = await claim(hub)
        assert re.fullmatch(r"([A-Z0-9]{4}-){3}[A-Z0-9]{4}", code)
        status, answer = await come(hub, code, ONE, serial="10000000abc", mac="02:00:5e:10:00:01")
        assert status == 200
        assert answer["site"] == "mill"
        assert answer["amqp"] == {"url": "amqps://broker.example", "ca": "a certificate"}
        assert await push(hub, answer["node"], ONE) == 200
        assert await push(hub, answer["node"], TWO) == 401
        assert broker.users.keys() == {answer["node"]}
        known = await said(hub, answer["node"])
        assert (known["site"], known["organisation"]) == ("mill", "north")
        assert known["hardware"]["serial"] == "10000000abc"  # type: ignore[index]


@pytest.mark.P11
async def test_a_code_is_good_once_and_as_people_write_it(store: Store) -> None:
    async with hub_of(store) as hub:
        code = await claim(hub, node="mill-1")
        assert (await come(hub, f" {code.lower().replace('-', ' ')}", ONE))[0] == 200
        assert (await come(hub, code, TWO))[0] == 403
        assert await push(hub, "mill-1", TWO) == 401
        assert await push(hub, "mill-1", ONE) == 200


@pytest.mark.P11
async def test_wrong_used_expired_and_ended_codes_meet_the_same_words(store: Store) -> None:
    clock = MovedClock()
    async with hub_of(store, clock=clock) as hub:
        used, expired, ended = [await claim(hub) for _ in range(3)]
        await come(hub, used, ONE)
        listed = (await asked(hub, "GET", "/api/v1/sites/mill/claims"))[1]["items"]
        assert len(listed) == 2
        ending = next(one["id"] for one in listed if digest(ended.replace("-", "")).startswith(one["id"]))
        assert (await asked(hub, "DELETE", f"/api/v1/sites/farm/claims/{ending}"))[0] == 404
        assert (await asked(hub, "DELETE", f"/api/v1/sites/mill/claims/{ending}"))[0] == 204
        assert (await asked(hub, "DELETE", f"/api/v1/sites/mill/claims/{ending}"))[0] == 404
        answers = [await come(hub, code, TWO) for code in (used, ended, "ACDE-FGHJ-KMNP-QRTU", "")]
        clock.later_ms = DAY_MS + 1
        answers.append(await come(hub, expired, TWO))
        assert {status for status, _ in answers} == {403}
        assert len({answer["error"] for _, answer in answers}) == 1
        await sign_in(hub)  # it has expired, too
        assert (await asked(hub, "GET", "/api/v1/sites/mill/claims"))[1]["items"] == []


@pytest.mark.P11
async def test_no_list_tells_a_code(store: Store) -> None:
    async with hub_of(store) as hub:
        code = await claim(hub)
        async with hub.get("/api/v1/sites/mill/claims") as listed, hub.get("/enrol") as page:
            for text in (await listed.text(), await page.text()):
                assert code not in text
                assert digest(code.replace("-", "")) not in text


@pytest.mark.P2
async def test_a_gateway_that_lost_the_answer_asks_again_and_nothing_changes(store: Store) -> None:
    async with hub_of(store, Broker()) as hub:
        code = await claim(hub)
        first = await come(hub, code, ONE)
        again = await come(hub, code, ONE)
        assert {**again[1], "now": 0} == {**first[1], "now": 0}
        node = first[1]["node"]
        await asked(hub, "POST", f"/api/v1/nodes/{node}/revoke")
        await come(hub, code, ONE)
        assert await push(hub, node, ONE) == 401  # to ask again does not bring a revoked one back


async def test_of_gateways_that_come_with_one_code_at_once_one_comes_in(store: Store) -> None:
    async with hub_of(store, Broker()) as hub:
        code = await claim(hub, node="mill-1")
        secrets = [f"a secret that is long enough, {n}" for n in range(5)]
        answers = await asyncio.gather(*(come(hub, code, secret) for secret in secrets))
        assert sorted(status for status, _ in answers) == [200, 403, 403, 403, 403]
        let_in = [await push(hub, "mill-1", secret) for secret in secrets]
        assert [status == 200 for status, _ in answers] == [status == 200 for status in let_in]


@pytest.mark.P2
async def test_a_broker_that_is_away_leaves_no_half_enrolment_and_a_good_code(store: Store) -> None:
    broker = Broker()
    async with hub_of(store, broker) as hub:
        code = await claim(hub, node="mill-1")
        broker.failing = "it is away"
        status, answer = await come(hub, code, ONE)
        assert status == 503
        assert "try again" in answer["error"]
        assert await push(hub, "mill-1", ONE) == 401
        broker.failing = ""
        assert (await come(hub, code, TWO))[0] == 200  # also another gateway may use it
        assert await push(hub, "mill-1", TWO) == 200


async def test_who_guesses_is_stopped_and_others_are_not(store: Store) -> None:
    clock = MovedClock()
    async with hub_of(store, clock=clock) as hub:
        code = await claim(hub)
        statuses = [(await come(hub, f"ACDE-FGHJ-KMNP-QR{n:02}", TWO))[0] for n in range(12)]
        assert statuses == [403] * 10 + [429] * 2
        assert (await come(hub, code, ONE))[0] == 429
        clock.later_ms = 61_000
        assert (await come(hub, code, ONE))[0] == 200


async def test_who_guesses_from_everywhere_keeps_out_nobody_who_has_a_code(tmp_path: Path) -> None:
    config = HubConfig(store="hub.db", people=PeopleConfig(proxies=("127.0.0.1",)))
    async with opened("hub.db", tmp_path) as store, hub_of(store, config=config) as hub:
        new = enrol.new_secret(TWO)
        for n in range(310):
            body = {"code": f"ACDE-FGHJ-KMNP-{n:04}", "secret_sha256": new.sha256, "broker_hash": new.broker_hash}
            status, _ = await asked(hub, "POST", enrol.PATH, body, {"X-Forwarded-For": f"203.0.{n // 256}.{n % 256}"})
            assert status == 403
        assert (await come(hub, await claim(hub), ONE))[0] == 200


@pytest.mark.P11
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b'{"code": 1}', 400), (b"[]", 400), (b"\xff", 400), (b"x" * 20_000, 413),
        (b'{"code": "A", "secret_sha256": "zz", "broker_hash": ""}', 400),
    ],
)  # fmt: skip
async def test_what_is_no_enrolment_is_refused(tmp_path: Path, body: bytes, status: int) -> None:
    async with opened("hub.db", tmp_path) as store, hub_of(store) as hub:
        async with hub.post(enrol.PATH, data=body, headers={"Content-Type": "application/json"}) as response:
            assert response.status == status
        async with hub.post(enrol.PATH, data=body) as response:
            assert response.status == 415


@pytest.mark.P11
async def test_a_revoked_node_is_out_at_once_and_comes_back_when_it_is_restored(store: Store) -> None:
    broker = Broker()
    async with hub_of(store, broker) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        poll = {wire.NODE_ID: "mill-1", wire.NODE_SECRET: ONE, wire.CURSOR: "0123456789abcdef:0-0"}
        waiting = asyncio.ensure_future(hub.get(wire.COMMANDS_PATH, params={"wait": "100"}, headers=poll))
        assert await push(hub, "mill-1", ONE) == 200
        for _ in range(2):
            assert await asked(hub, "POST", "/api/v1/nodes/mill-1/revoke") == (200, {"node": "mill-1", "revoked": True})
        assert (await waiting).status == 401
        assert await push(hub, "mill-1", ONE) == 401
        assert broker.out == {"mill-1"}
        assert (await asked(hub, "POST", "/api/v1/nodes/mill-1/secret"))[0] == 409
        assert await asked(hub, "POST", "/api/v1/nodes/mill-1/restore") == (200, {"node": "mill-1", "revoked": False})
        assert await push(hub, "mill-1", ONE) == 200
        assert broker.out == set()


async def test_revoking_counts_at_once_also_where_the_broker_is_away_and_says_so(store: Store) -> None:
    broker = Broker()
    async with hub_of(store, broker) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        broker.failing = "it is away"
        status, answer = await asked(hub, "POST", "/api/v1/nodes/mill-1/revoke")
        assert status == 503
        assert "once more" in answer["error"]
        assert await push(hub, "mill-1", ONE) == 401


@pytest.mark.P2
async def test_old_and_new_secret_are_good_side_by_side_until_the_new_one_is_used(store: Store) -> None:
    broker = Broker()
    async with hub_of(store, broker) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        for _ in range(2):  # the answer was lost
            assert await tell_secret(hub, "mill-1", ONE, TWO) == 200
        assert await push(hub, "mill-1", ONE) == 200
        assert (await said(hub, "mill-1"))["changing_until"] is not None
        assert await push(hub, "mill-1", TWO) == 200
        assert await push(hub, "mill-1", ONE) == 401
        assert (await said(hub, "mill-1"))["changing_until"] is None
        assert await tell_secret(hub, "mill-1", ONE, "a thief's own secret, made of the old one") == 401


async def test_a_new_secret_that_is_never_used_ends_the_old_one_after_a_week(store: Store) -> None:
    clock = MovedClock()
    async with hub_of(store, clock=clock) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        await tell_secret(hub, "mill-1", ONE, TWO)
        clock.later_ms = BESIDE_MS - 60_000
        assert await push(hub, "mill-1", ONE) == 200
        clock.later_ms = BESIDE_MS + 60_000
        assert await push(hub, "mill-1", ONE) == 401
        assert await push(hub, "mill-1", TWO) == 200


async def test_a_secret_is_taken_again_where_the_broker_was_away(store: Store) -> None:
    broker = Broker()
    async with hub_of(store, broker) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        before, broker.failing = broker.users["mill-1"], "it is away"
        assert await tell_secret(hub, "mill-1", ONE, TWO) == 503
        broker.failing = ""
        assert await tell_secret(hub, "mill-1", ONE, TWO) == 200
        assert broker.users["mill-1"] != before


@pytest.mark.P11
async def test_a_secret_that_changes_though_nobody_asked_for_it_is_told(store: Store) -> None:
    async with hub_of(store, Broker()) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        await asked(hub, "POST", "/api/v1/nodes/mill-1/secret")
        await tell_secret(hub, "mill-1", ONE, TWO)
        assert await store.events("mill-1", 9) == []
        async with store.sql.transaction() as db:
            await db.execute("UPDATE command SET state = 'done'")
        for _ in range(2):  # the answer was lost
            assert await tell_secret(hub, "mill-1", TWO, "a thief's own secret, made of the old one") == 200
        (event,) = await store.events("mill-1", 9)
        assert (event.kind, "nobody asked" in event.detail) == ("secret_changed", True)


async def tell_secret(hub: object, node: str, secret: str, new: str) -> int:
    headers = {
        wire.NODE_ID: node, wire.NODE_SECRET: secret, wire.BATCH_TYPE: "secret", wire.CURSOR: "0123456789abcdef:0-0",
    }  # fmt: skip
    body = msgspec.msgpack.encode(enrol.new_secret(new))
    async with hub.post(wire.PATH, data=body, headers=headers) as response:  # type: ignore[attr-defined]
        return int(response.status)


@pytest.mark.P2
async def test_a_replaced_gateway_keeps_the_history_and_the_old_one_is_out(store: Store) -> None:
    async with hub_of(store, Broker()) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        await store.take_layouts([METER], audit("mill-1", "layouts"))
        await store.take_records([power(1), power(2)], audit("mill-1"))
        code = await claim(hub, replaces="mill-1")
        assert await push(hub, "mill-1", ONE) == 200  # until the new one comes
        status, answer = await come(hub, code, TWO)
        assert (status, answer["node"]) == (200, "mill-1")
        assert await push(hub, "mill-1", ONE) == 401
        assert await push(hub, "mill-1", TWO, epoch="fedcba9876543210") == 200
        await store.take_records([power(2), power(3)], audit("mill-1"))
        assert [record.ts for record in await store.records("mill-1", METER.id)] == [1, 2, 3]


async def test_replacing_a_revoked_node_lets_the_new_one_in_and_not_the_old_one(store: Store) -> None:
    async with hub_of(store) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        await asked(hub, "POST", "/api/v1/nodes/mill-1/revoke")
        await come(hub, await claim(hub, replaces="mill-1"), TWO)
        assert [await push(hub, "mill-1", secret) for secret in (ONE, TWO)] == [401, 200]


@pytest.mark.P11
async def test_a_code_for_a_node_that_went_to_another_organisation_is_good_no_more(store: Store) -> None:
    async with hub_of(store, Broker()) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        code = await claim(hub, replaces="mill-1")
        assert (await asked(hub, "PUT", "/api/v1/nodes/mill-1/site", {"site": "farm"}))[0] == 204
        assert (await come(hub, code, TWO))[0] == 403
        assert [await push(hub, "mill-1", secret) for secret in (ONE, TWO)] == [200, 401]
        assert (await said(hub, "mill-1"))["site"] == "farm"


@pytest.mark.P11
async def test_an_id_that_is_taken_is_not_given_again_and_a_foreign_node_is_not_there(store: Store) -> None:
    async with hub_of(store) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        claims = "/api/v1/sites/farm/claims"
        assert (await asked(hub, "POST", claims, {"node": "mill-1"}))[0] == 409
        foreign = await asked(hub, "POST", claims, {"replaces": "mill-1"})
        assert foreign == await asked(hub, "POST", claims, {"replaces": "nobody"})
        assert foreign[0] == 404
        await claim(hub, node="mill-2")
        assert (await asked(hub, "POST", claims, {"node": "mill-2"}))[0] == 409  # a code for it is open
        for body in (
            {"node": "a b"},
            {"node": 'x"; DROP'},
            {"nodes": "x"},
            {"node": "a", "replaces": "b"},
            [],
            {"node": ".."},
        ):
            assert (await asked(hub, "POST", claims, body))[0] == 400
        assert (await asked(hub, "POST", "/api/v1/sites/nowhere/claims", {}))[0] == 404


@pytest.mark.P11
async def test_who_has_rights_elsewhere_finds_nothing_here_and_a_viewer_does_nothing(store: Store) -> None:
    async with hub_of(store) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        await claim(hub, node="mill-2")
        paths = [("POST", f"/api/v1/nodes/mill-1/{verb}") for verb in ("revoke", "restore", "secret")]
        paths += [("GET", "/api/v1/sites/mill/claims"), ("POST", "/api/v1/sites/mill/claims")]
        for grant, status in ((Grant(Role.ADMIN, "south"), 404), (Grant(Role.VIEWER, "north"), 403)):
            await sign_in(hub, grant, name="ben")
            assert {(await asked(hub, method, path, {}))[0] for method, path in paths} == {status}
        await sign_in(hub, Grant(Role.OPERATOR, "south", "farm"), name="ben")
        assert (await asked(hub, "GET", "/api/v1/enrolled"))[1] == {"items": [], "next": ""}
        async with hub.get("/enrol") as page:
            assert "mill" not in await page.text()
        await sign_in(hub, Grant(Role.OPERATOR, "north", "mill"), name="ben")
        assert [one["node"] for one in (await asked(hub, "GET", "/api/v1/enrolled"))[1]["items"]] == ["mill-1"]
        async with hub.get("/enrol") as page:
            assert "mill-2" in await page.text()
        assert await push(hub, "mill-1", ONE) == 200


async def test_each_act_of_a_person_is_kept(store: Store) -> None:
    async with hub_of(store) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        for verb in ("secret", "revoke", "restore"):
            await asked(hub, "POST", f"/api/v1/nodes/mill-1/{verb}")
        rows = await store.sql.fetch("SELECT person, action, object, organisation, site FROM act ORDER BY id")
        assert [row[1] for row in rows] == ["make claim code", "change secret", "revoke", "restore"]
        assert {tuple(row[2:]) for row in rows} == {("mill-1", "north", "mill")}


async def test_another_secret_is_ordered_once_while_it_is_under_way(store: Store) -> None:
    async with hub_of(store) as hub:
        await come(hub, await claim(hub, node="mill-1"), ONE)
        first, again = [await asked(hub, "POST", "/api/v1/nodes/mill-1/secret") for _ in range(2)]
        assert first == again
        assert (first[0], first[1]["command"]["kind"]) == (202, "SECRET")


async def test_nodes_come_in_pages(store: Store) -> None:
    async with hub_of(store) as hub:
        for n in range(5):
            await come(hub, await claim(hub, node=f"mill-{n}"), f"a secret that is long enough {n}")
        found: list[str] = []
        after = ""
        while True:
            _, page = await asked(hub, "GET", f"/api/v1/enrolled?limit=2&after={after}")
            found += [one["node"] for one in page["items"]]
            if not (after := page["next"]):
                break
        assert found == [f"mill-{n}" for n in range(5)]


def in_file(**secrets: str) -> HubConfig:
    nodes = tuple(NodeConfig(id=node, secret_sha256=digest(secret), site="mill") for node, secret in secrets.items())
    return HubConfig(store="hub.db", nodes=nodes)


@pytest.mark.P2
async def test_nodes_of_the_file_come_in_as_before_and_a_secret_that_was_taken_out_does_not(store: Store) -> None:
    async with hub_of(store, config=in_file(a=ONE, b=ONE)) as hub:
        assert [await push(hub, "a", ONE), await push(hub, "b", ONE), await push(hub, "c", ONE)] == [200, 200, 401]
        assert (await said(hub, "a"))["site"] == "mill"
    async with hub_of(store, config=in_file(a=TWO)) as hub:
        assert [await push(hub, "a", ONE), await push(hub, "a", TWO), await push(hub, "b", ONE)] == [401, 200, 401]


@pytest.mark.P11
async def test_a_secret_that_was_changed_since_is_not_brought_back_by_the_file(store: Store) -> None:
    for _ in range(2):
        async with hub_of(store, config=in_file(a=ONE)) as hub:
            await tell_secret(hub, "a", ONE, TWO)
            assert await push(hub, "a", TWO) == 200
            assert await push(hub, "a", ONE) == 401


async def test_a_node_of_the_file_that_was_enrolled_since_stays_when_it_is_taken_out(store: Store) -> None:
    async with hub_of(store, config=in_file(a=ONE)) as hub:
        await come(hub, await claim(hub, replaces="a"), TWO)
    async with hub_of(store) as hub:
        assert [await push(hub, "a", ONE), await push(hub, "a", TWO)] == [401, 200]
