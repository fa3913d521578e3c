"""Processes of the hub are killed amid batches, roll-ups and the closing of hours; nothing is lost or counted twice."""

import asyncio
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from gateway.core.accounts import Account, of_records
from gateway.core.rollup import DAY_MS, HOUR_MS
from sync.hub.rollup import checking
from sync.hub.rollup.rollups import Rollups
from tests.hub.feeding import BEGIN, DAYS, care, records
from tests.hub.stores import audit, opened
from tests.values import METER

KILLS = 100 if os.environ.get("HOLDFAST_LONG") == "1" else 2
LATER = BEGIN + 2000 * DAY_MS


async def started(where: str, folder: Path, seed: int) -> Process:
    command = [sys.executable, "-m", "tests.hub.feeding", where, str(folder), str(seed)]
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE)


async def killed_after(process: Process, batches: int) -> list[int]:
    """The seeds of the batches that it took, or began to take."""
    assert process.stdout is not None
    seeds = [int(await process.stdout.readline()) for _ in range(batches)]
    process.kill()
    seeds += [int(line) for line in (await process.stdout.read()).splitlines()]
    await process.wait()
    return seeds


@pytest.mark.P2
@pytest.mark.P10
async def test_a_hub_that_is_killed_loses_and_doubles_nothing(where: str, tmp_path: Path) -> None:
    chosen = random.Random(7)
    side_by_side = 1 if where == "hub.db" else 2
    seeds: list[int] = []
    for kill in range(KILLS):
        processes = [await started(where, tmp_path, 1000 * (2 * kill + n)) for n in range(side_by_side)]
        for found in await asyncio.gather(*(killed_after(one, chosen.randrange(2, 30)) for one in processes)):
            seeds += found
    async with opened(where, tmp_path) as store:
        for seed in seeds:  # as nodes would
            await store.take_records(records(seed), audit(at=LATER))
        held = {record.ts: record.row for seed in seeds for record in records(seed)}
        hours = {BEGIN + day * DAY_MS: Account(0, 0) for day in range(DAYS)}
        for begin in hours:
            rows = [(ts, row) for ts, row in held.items() if begin <= ts < begin + HOUR_MS]
            hours[begin] = Account(len(rows), of_records(rows))
        for now in (LATER + DAY_MS, LATER + 30 * DAY_MS):  # rolled up, and then closed
            await care(store, now)
            assert await store.accounts("node", [(METER.id, hour) for hour in hours]) == list(hours.values())
            (of_layout,) = await Rollups(store.sql).completeness("node", BEGIN, LATER)
            assert of_layout.records == {hour: account.count for hour, account in hours.items() if account.count}
            assert [one async for one in checking.problems(store.sql, LATER, 36_500, lambda _done, _of: None)] == []
        assert (await store.sql.fetch("SELECT count(*) FROM record"))[0][0] == 0
