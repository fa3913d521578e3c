"""How often the buffer commits can be chosen while it runs, and is remembered."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.buffer.pace import Pace
from tests.values import METER, power
from tests.virtual import go_on, run_virtually


async def test_what_was_chosen_survives_a_restart_and_can_be_taken_back(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db", commit_s=2)
    await buffer.pace.choose(10)
    await buffer.close()
    again = await Buffer.open(tmp_path / "b.db", commit_s=3)
    assert (again.state().commit_s, again.state().configured_s) == (10, 3)
    await again.pace.choose(None)
    await again.close()
    third = await Buffer.open(tmp_path / "b.db", commit_s=3)
    assert third.state().commit_s == 3
    await third.close()


async def test_a_quicker_pace_ends_the_slow_pause_at_once(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db", commit_s=600)
    running = asyncio.create_task(buffer.run())
    buffer.put(METER, [power(1)])
    await buffer.committed.wait_beyond(0)
    buffer.put(METER, [power(2)])
    await buffer.pace.choose(1)
    await buffer.committed.wait_beyond(1)  # would be ten minutes else
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await buffer.close()


@pytest.mark.P1
async def test_a_slow_pace_does_not_let_readings_pile_up_until_memory_is_full(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db", commit_s=600)
    running = asyncio.create_task(buffer.run())
    buffer.put(METER, [power(1)])
    await buffer.committed.wait_beyond(0)
    for number in range(60):  # as of many devices
        buffer.put(METER, [power(number * 1000 + n) for n in range(1000)])
        await asyncio.sleep(0)
    await buffer.committed.wait_beyond(10_000)  # would be ten minutes else
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await buffer.close()


def test_commits_are_as_far_apart_as_the_pace_says() -> None:
    async def gaps() -> list[float]:
        loop = asyncio.get_running_loop()
        pace = Pace(None, 10)  # type: ignore[arg-type]  # nothing is stored here
        starts = []
        for _ in range(3):
            starts.append(loop.time())
            await go_on(0.1)  # as gathering does
            await pace.pause(0.1)
        return [later - earlier for earlier, later in pairwise(starts)]

    assert run_virtually(gaps()) == pytest.approx([9, 9])
