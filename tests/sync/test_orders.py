"""The hub's queue of commands: who gets what, until when, and what becomes of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.credential import digest
from gateway.core.errors import PushError
from gateway.core.model import Command, CommandResult, Event
from sync import wire
from sync.hub.app import build_hub
from sync.hub.config import HubConfig, NodeConfig
from sync.hub.fleet import commandapi
from sync.hub.fleet.fleet import PASS_ON_MAX, PASS_ON_S, Fleet
from sync.hub.store.commandstore import CommandStore
from sync.hub.store.sqlite import SqliteStore
from sync.hub.web.rights import Grant, Role
from tests.hub.signed import sign_in
from tests.sync.brokered import running, until
from tests.sync.controlling import LATER, NOW, Site, command

AT = wire.Cursor("0123456789abcdef", 1, 1)


@asynccontextmanager
async def hub(folder: Path, pass_on_max: int = PASS_ON_MAX) -> AsyncIterator[tuple[Fleet, SqliteStore, Site]]:
    store, clock = await SqliteStore.open(folder / "hub.db"), Site()
    yield Fleet(store.control, clock, pass_on_max=pass_on_max), store, clock
    await store.close()


def beat(*taken: str) -> bytes:
    return msgspec.msgpack.encode(wire.Heartbeat("1", NOW, 1.0, "kernel", taken=taken))


async def state(store: SqliteStore, command_id: str) -> str:
    found = await store.control.ordered(command_id)
    assert found is not None
    return found[1].state


def result(command_id: str, how: str) -> Event:
    return Event(NOW, "command_result", detail=json.dumps({"id": command_id, "state": how, "words": "so"}))


@pytest.mark.P8
async def test_a_command_is_handed_out_until_the_node_says_that_it_has_it(tmp_path: Path) -> None:
    async with hub(tmp_path) as (fleet, store, _):
        await fleet.order("mill", command("a"))
        for _ in range(2):
            assert (await fleet.heartbeat("mill", AT, beat())).commands == [command("a")]
        answer = await fleet.heartbeat("mill", AT, beat("a"))
        assert (answer.cursor, answer.commands) == (str(AT), [])
        assert await state(store, "a") == "taken"


@pytest.mark.P11
async def test_a_node_gets_nothing_and_settles_nothing_that_is_anothers(tmp_path: Path) -> None:
    async with hub(tmp_path) as (fleet, store, _):
        await fleet.order("mill", command("a"))
        assert (await fleet.heartbeat("farm", AT, beat("a"))).commands == []
        assert await fleet.waiting("farm", 0) == []
        await fleet.happened("farm", [result("a", "done")])
        assert await state(store, "a") == "queued"


@pytest.mark.P8
async def test_what_nobody_fetched_in_time_expires_and_is_not_handed_out(tmp_path: Path) -> None:
    async with hub(tmp_path) as (fleet, store, clock):
        await fleet.order("mill", command("a"))
        clock.wall = LATER + 1
        assert (await fleet.heartbeat("mill", AT, beat())).commands == []
        assert await fleet.waiting("mill", 0) == []
        assert await state(store, "a") == "expired"
        await fleet.happened("mill", [result("a", "done")])
        assert await state(store, "a") == "done", "it had fetched it, and the word of that was lost"


async def test_the_first_word_of_how_a_command_ended_counts_and_nonsense_does_not(tmp_path: Path) -> None:
    async with hub(tmp_path) as (fleet, store, _):
        await fleet.order("mill", command("a"))
        nonsense = [Event(NOW, "command_result", detail=text) for text in ("", "{}", '{"id":"a","state":"great"}')]
        await fleet.happened("mill", [*nonsense, result("b", "done"), Event(NOW, "noted", detail="done")])
        assert await state(store, "a") == "queued"
        await fleet.happened("mill", [result("a", "failed"), result("a", "done")])
        await fleet.heartbeat("mill", AT, beat("a"))
        assert await state(store, "a") == "failed"


async def test_a_long_poll_ends_with_the_order_and_repeats_nothing_soon(tmp_path: Path) -> None:
    async with hub(tmp_path) as (_, store, clock):
        fleet = Fleet(store.control, clock, look_s=3600)
        poll = asyncio.ensure_future(fleet.waiting("mill", 60))
        await asyncio.sleep(0)
        await fleet.order("farm", command("other"))
        await fleet.order("mill", command("a"))
        assert await poll == [command("a")]
        assert await fleet.waiting("mill", 0) == []
        assert (await fleet.heartbeat("mill", AT, beat())).commands == [command("a")]


async def test_an_order_that_another_process_of_the_hub_took_is_found(tmp_path: Path) -> None:
    async with hub(tmp_path) as (_, store, clock):
        fleet = Fleet(store.control, clock, look_s=0.01)
        poll = asyncio.ensure_future(fleet.waiting("mill", 60))
        await asyncio.sleep(0)
        await Fleet(store.control, clock).order("mill", command("a"))
        assert await poll == [command("a")]


class Asked(CommandStore):
    """Says how often it was asked for one node, and for all at once."""

    of_one = of_all = 0

    async def queued(self, node: str, now: int, most: int) -> list[Command]:
        self.of_one += 1
        return await super().queued(node, now, most)

    async def nodes_with_orders(self) -> set[str]:
        self.of_all += 1
        return await super().nodes_with_orders()


async def test_while_many_nodes_wait_it_is_looked_for_all_at_once(tmp_path: Path) -> None:
    async with hub(tmp_path) as (_, store, clock):
        asked = Asked(store.sql)
        fleet = Fleet(asked, clock, look_s=0.01)
        polls = [asyncio.ensure_future(fleet.waiting(f"node {n}", 60)) for n in range(20)]
        await until(lambda: asked.of_all >= 5)
        assert asked.of_one == 20
        await Fleet(store.control, clock).order("node 7", command("a"))
        assert await polls[7] == [command("a")]
        for poll in polls:
            poll.cancel()
        await asyncio.wait(polls)


async def test_what_the_broker_does_not_take_goes_with_the_next_heartbeat_and_holds_up_no_order(tmp_path: Path) -> None:
    async with hub(tmp_path) as (fleet, _, _clock):
        told: list[str] = []
        tried = asyncio.Event()

        async def tell(node: str, answer: wire.Answer) -> None:
            told.append(f"{node} {answer.commands[0].id}")
            await tried.wait()
            raise PushError("no broker")

        fleet.tell = tell
        async with running(fleet.run()):
            for name in ("a", "b"):
                assert await fleet.order("mill", command(name))
                assert not await fleet.order("mill", command(name))
            await until(lambda: told == ["mill a"])
            tried.set()
            await until(lambda: told == ["mill a", "mill b"])
        assert (await fleet.heartbeat("mill", AT, beat())).commands == [command("a"), command("b")]


async def test_orders_that_wait_long_or_are_many_are_left_to_the_heartbeats(tmp_path: Path) -> None:
    async with hub(tmp_path, pass_on_max=2) as (fleet, _, clock):
        told: list[str] = []

        async def tell(node: str, answer: wire.Answer) -> None:
            told.append(answer.commands[0].id)

        fleet.tell = tell
        for name in ("a", "b", "c"):
            assert await fleet.order("mill", command(name))
        async with running(fleet.run()):
            await until(lambda: told == ["a", "b"])
            assert await fleet.order("mill", command("d"))
            clock.ahead_s += PASS_ON_S + 1
            await until(fleet._to_pass_on.empty)
        assert told == ["a", "b"]


@pytest.mark.parametrize("body", [b"", b"\xff", msgspec.msgpack.encode({"version": 1}), beat("a" * 300_000)])
async def test_a_heartbeat_that_is_none_is_refused(tmp_path: Path, body: bytes) -> None:
    async with hub(tmp_path) as (fleet, store, _):
        with pytest.raises(ValueError):
            await fleet.heartbeat("mill", AT, body)
        assert await store.control.beats() == []


async def test_results_are_kept_with_their_words(tmp_path: Path) -> None:
    async with hub(tmp_path) as (fleet, store, _):
        await fleet.order("mill", command("a"))
        await store.control.ended("mill", [CommandResult("a", "unknown", "cut off")], NOW)
        (ordered,) = await store.control.commands("mill", 9)
        assert (ordered.state, ordered.words) == ("unknown", "cut off")


@asynccontextmanager
async def operator(folder: Path, role: Role = Role.OPERATOR) -> AsyncIterator[Any]:
    async with hub(folder) as (_, store, clock):
        nodes = (NodeConfig(id="mill", secret_sha256=digest("x")),)
        config = HubConfig(store="hub.db", nodes=nodes)
        async with TestClient(TestServer(build_hub(config, store, clock, folder, []))) as client:
            await sign_in(client, Grant(role), name="Ann")
            yield client


MILL = commandapi.PATH.format(node="mill")


async def test_an_operator_orders_and_sees_what_becomes_of_it(tmp_path: Path) -> None:
    async with operator(tmp_path) as client:
        order = {"kind": "RESTART", "id": "a"}
        for status, valid_s in ((201, 60), (200, 90)):
            answer = await client.post(MILL, json=order | {"valid_s": valid_s})
            assert answer.status == status
            assert (await answer.json())["state"] == "queued"
        (seen,) = await (await client.get(MILL)).json()
        assert seen["command"] == {"id": "a", "kind": "RESTART", "not_after": NOW + 60_000, "who": "Ann"}


async def test_the_body_of_an_order_may_be_text_or_an_object(tmp_path: Path) -> None:
    async with operator(tmp_path) as client:
        for body in ({"since": 1, "until": 2}, '{"since":1,"until":2}'):
            order = {"kind": "RESEND", "id": "a", "body": body}
            answer = await client.post(MILL, json=order)
            assert (await answer.json())["command"]["body"] == '{"since":1,"until":2}'


async def test_an_order_without_an_id_gets_one_each_time(tmp_path: Path) -> None:
    async with operator(tmp_path) as client:
        for _ in range(2):
            assert (await client.post(MILL, json={"kind": "LEDGER"})).status == 201
        assert len(await (await client.get(MILL)).json()) == 2


@pytest.mark.P11
async def test_only_who_is_signed_in_looks_and_only_an_operator_orders(tmp_path: Path) -> None:
    async with operator(tmp_path) as client:
        form = await client.post(MILL, data='{"kind": "RESTART"}')
        assert form.status == 415, "as a page of another site could send it"
        del client.session.headers["Authorization"]
        assert (await client.post(MILL, json={"kind": "RESTART"})).status == 401
        assert (await client.get(MILL)).status == 401
    async with operator(tmp_path, Role.VIEWER) as client:
        answer = await client.post(MILL, json={"kind": "RESTART"})
        assert (answer.status, await answer.json()) == (403, {"error": "that wants the role operator"})
        assert await (await client.get(MILL)).json() == []


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"kind": "restart"}, 400),
        ({"kind": "RESTART", "id": "a b"}, 400),
        ({"kind": "RESTART", "valid_s": -1}, 400),
        ({"kind": "RESTART", "not_after": 1 << 60}, 400),
        ({"kind": "RESTART", "when": 1}, 400),
        ({"kind": "RESTART", "who": "somebody else"}, 400),
        ({}, 400),
        ([], 400),
        ({"kind": "LEDGER", "id": "known"}, 409),
    ],
)
async def test_a_bad_order_is_refused_in_words(tmp_path: Path, order: object, status: int) -> None:
    async with operator(tmp_path) as client:
        await client.post(MILL, json={"kind": "RESTART", "id": "known"})
        answer = await client.post(MILL, json=order)
        assert answer.status == status
        assert (await answer.json())["error"]
        nobody = await client.post(MILL.replace("mill", "nobody"), json=order)
        assert nobody.status == 404
