"""Whether the hub can work, and what it counts, as programs ask."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.credential import digest
from gateway.core.errors import StorageError
from gateway.core.model import Event
from sync import wire
from sync.hub.app import CHORES, READY, build_hub
from sync.hub.config import HubConfig, NodeConfig
from sync.hub.ready import Ready, is_done, ready_of
from sync.hub.store.chores import Chore, Chores
from sync.hub.store.contract import Store
from sync.hub.web.rights import Grant, Role
from tests.hub.alerting import Fleet
from tests.hub.clock import NOW, StoppedClock
from tests.hub.signed import bearer
from tests.hub.stores import audit
from tests.needs import needs
from tests.values import METER

NODE = {wire.NODE_ID: "mill", wire.NODE_SECRET: "x", wire.CURSOR: f"{'0' * 16}:0-1"}
CONFIG = HubConfig(
    store="hub.db", nodes=(NodeConfig(id="mill", secret_sha256=digest("x")),), metrics_token_sha256=digest("t")
)
TOKEN = {"Authorization": "Bearer t"}


@asynccontextmanager
async def hub(store: Store, folder: Path) -> AsyncIterator[Any]:
    app = build_hub(CONFIG, store, StoppedClock(), folder, [])
    async with TestClient(TestServer(app)) as client:
        yield client


async def state(client: Any) -> tuple[int, dict[str, str]]:
    answer = await client.get("/readyz")
    return answer.status, (await answer.json())["checks"]


async def test_a_hub_whose_store_takes_writes_is_ready(store: Store, tmp_path: Path) -> None:
    async with hub(store, tmp_path) as client:
        status, checks = await state(client)
        assert (status, checks["store"]) == (200, "ok")


async def test_which_check_fails_is_told_without_details(store: Store, tmp_path: Path) -> None:
    async def broker() -> str:
        return "the broker is not reached"

    async def fails() -> str:
        raise StorageError("PostgreSQL db.example/fleet: refused")

    async with hub(store, tmp_path) as client:
        client.app[READY].checks |= {"broker": broker, "other": fails}
        status, checks = await state(client)
        assert status == 503
        assert (checks["store"], checks["broker"]) == ("ok", "the broker is not reached")
        assert checks["other"] == "the store fails"


async def test_who_asks_again_at_once_makes_no_work(store: Store) -> None:
    clock, asked = StoppedClock(), []

    async def check() -> str:
        asked.append(clock.now)
        return ""

    ready = Ready(clock)
    ready.checks["one"] = check
    for _ in range(3):
        await ready.handle(None)  # type: ignore[arg-type]  # nothing of the request is looked at
    clock.now += 3000
    await ready.handle(None)  # type: ignore[arg-type]
    assert len(asked) == 2


async def test_roll_ups_count_whoever_does_them(store: Store) -> None:
    clock, fails = StoppedClock(), [False]

    async def work(now: int) -> None:
        if fails[0]:
            raise StorageError("so")

    chore = Chore("roll-ups", 60, work)
    here, there = (Chores(store.sql, clock, [chore]) for _ in range(2))
    check = is_done(here, "roll-ups", store.sql, clock)
    assert check is not None
    assert await check() == ""  # there was no time for one yet
    clock.now += 600_000
    assert await check() == "there were no roll-ups for 7 minutes"
    assert await there.turn(chore)
    assert await check() == ""  # the other process does it
    clock.now += 600_000
    assert await check() != ""
    assert await here.turn(chore)
    assert await check() == ""
    here.failed["roll-ups"] = "PostgreSQL db.example: so"
    assert await check() == "the last roll-ups failed: the log says why"
    assert "roll-ups" in ready_of(here, store.sql, clock).checks
    assert "roll-ups" not in ready_of(Chores(store.sql, clock, []), store.sql, clock).checks


async def push(client: Any, batch_type: str, body: bytes) -> int:
    return int((await client.post(wire.PATH, data=body, headers={**NODE, wire.BATCH_TYPE: batch_type})).status)


async def test_batches_are_counted_by_what_became_of_them(store: Store, tmp_path: Path) -> None:
    beat = msgspec.msgpack.encode(wire.Heartbeat("1", 5, 1.0, "kernel", backlog=70))
    async with hub(store, tmp_path) as client:
        assert await push(client, "heartbeat", beat) == 200
        assert await push(client, "events", msgspec.msgpack.encode({"events": []})) == 200
        assert await push(client, "rubbish", b"x") == 400
        assert await push(client, "records", b"x") == 400
        for chore in client.app[CHORES].all:
            await client.app[CHORES].turn(chore)
        answer = await client.get("/metrics", headers=TOKEN)
        text = await answer.text()
    for line in (
        'holdfast_hub_batches_total{result="taken",type="heartbeat"} 1.0',
        'holdfast_hub_batches_total{result="refused",type="other"} 1.0',
        'holdfast_hub_batches_total{result="refused",type="records"} 1.0',
        f'holdfast_hub_batch_bytes_total{{type="heartbeat"}} {float(len(beat))}',
        'holdfast_hub_request_seconds_count{method="POST",route="/api/v1/ingest",status="4xx"} 2.0',
        "holdfast_hub_nodes 1.0",
        "holdfast_hub_nodes_online 1.0",
        "holdfast_hub_backlog_records 70.0",
        'holdfast_hub_alerts{kind="offline"} 0.0',
        'holdfast_hub_chore_failing{chore="alerts"} 0.0',
        "process_cpu_seconds_total",
    ):
        assert line in text, line
    assert "mill" not in text  # a fleet has too many nodes for labels


async def test_metrics_are_as_prometheus_wants_them(store: Store, tmp_path: Path) -> None:
    needs("promtool", "prometheus")
    await Fleet(store).pass_on(1)
    async with hub(store, tmp_path) as client:
        await push(client, "events", msgspec.msgpack.encode({"events": []}))
        text = await (await client.get("/metrics", headers=TOKEN)).read()
    promtool = str(shutil.which("promtool"))
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.P11
async def test_metrics_are_for_who_may_look_at_everything_and_for_who_has_the_token(
    store: Store, tmp_path: Path
) -> None:
    async with hub(store, tmp_path) as client:

        async def asked(headers: dict[str, str]) -> int:
            return int((await client.get("/metrics", headers=headers)).status)

        assert await asked({}) == await asked({"Authorization": "Bearer x"}) == 401
        assert await asked({"Authorization": "Bearer "}) == 401
        assert await asked(TOKEN) == 200
        assert await asked(await bearer(client.app, Grant(Role.ADMIN, "acme"))) == 403
        assert await asked(await bearer(client.app, Grant(Role.VIEWER))) == 200
    app = build_hub(HubConfig(store="hub.db"), store, StoppedClock(), tmp_path, [])
    async with TestClient(TestServer(app)) as client:  # without a token no token is good
        assert await asked(TOKEN) == await asked({"Authorization": "Bearer "}) == 401


async def test_an_update_that_fails_at_a_site_is_an_alert_when_its_event_comes(store: Store, tmp_path: Path) -> None:
    event = Event(NOW, "configuration_rolled_back", detail="the hub is not reached any more", seq=0)
    async with hub(store, tmp_path) as client:
        assert await push(client, "events", msgspec.msgpack.encode(wire.Events([event]))) == 200
        headers = await bearer(client.app)
        page = await (await client.get("/api/v1/alerts", headers=headers)).json()
    assert [(one["node"], one["kind"], one["words"]) for one in page["items"]] == [
        ("mill", "update_failed", event.detail)
    ]


async def test_hours_that_cannot_be_rolled_up_are_told_and_keep_no_hub_from_its_work(
    store: Store, tmp_path: Path
) -> None:
    await store.take_layouts([METER], audit("mill", at=NOW))
    async with hub(store, tmp_path) as client:
        async with store.sql.transaction() as db:
            await db.execute("INSERT INTO dirty (series, hour, since) SELECT id, 3600000, $1 FROM series", NOW + 60_000)
        status, checks = await state(client)
        assert (status, checks["roll-ups"]) == (200, "ok, but 1 hours could not be rolled up: the log says why")
