"""What strangers hear while the hub's database fails: that it does, by 503, and nothing about it."""

from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from local_ui import guard
from sync import wire
from sync.hub.app import build_hub
from sync.hub.config import HubConfig
from tests.hub.clock import StoppedClock
from tests.hub.postgres import Databases
from tests.hub.signed import QUICK, STATIC
from tests.hub.stores import opened

NODE = {wire.NODE_ID: "mill", wire.NODE_SECRET: "x"}
WRONG = {"name": "bob", "password": "wrong"}


async def ask(where: str, *queries: str) -> None:
    connection = await asyncpg.connect(where)
    for query in queries:
        await connection.execute(query)
    await connection.close()


@pytest.mark.P11
@pytest.mark.parametrize("ended", ["read-only", "away"])
async def test_a_database_that_fails_is_told_as_that_and_without_its_name(
    ended: str, databases: Databases, tmp_path: Path
) -> None:
    where = await databases.new()  # nobody uses it after this
    name, other = urlsplit(where).path[1:], where.replace(urlsplit(where).path, "/postgres", 1)
    async with opened(where, tmp_path) as store:
        app = build_hub(HubConfig(store=where), store, StoppedClock(), STATIC, [guard.headers], QUICK)
        async with TestClient(TestServer(app)) as client:
            assert (await client.post("/api/v1/sign-in", json=WRONG)).status == 401
            what = "SET default_transaction_read_only TO on" if ended == "read-only" else "ALLOW_CONNECTIONS false"
            end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            await ask(other, f'ALTER DATABASE "{name}" {what}', end)
            answers = [await client.post("/api/v1/sign-in", json=WRONG) for _ in range(3)]
            answers.append(await client.post("/sign-in", data=WRONG))
            if ended == "away":
                answers.append(await client.get(wire.COMMANDS_PATH, headers=NODE))
            for answer in answers:
                text = await answer.text()
                assert (answer.status, name in text, "PostgreSQL" in text) == (503, False, False), text
