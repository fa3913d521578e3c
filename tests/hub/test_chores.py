"""What one of the hub's processes does: each chore by one at a time, and by another where that one ends or dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.core.errors import StorageError
from sync.hub.store.chores import PATIENCE_S, Chore, Chores
from sync.hub.store.contract import Store
from tests.hub.clock import StoppedClock
from tests.hub.stores import KINDS, opened, place
from tests.sync.parts import until

EVERY_S = 10.0


class Process:
    """One of the hub, with a chore that it counts."""

    def __init__(self, store: Store, clock: StoppedClock, name: str = "sweep", every_s: float = EVERY_S) -> None:
        self.done: list[int] = []
        self.fails: Exception | None = None
        self.chore = Chore(name, every_s, self._work)
        self.chores = Chores(store.sql, clock, [self.chore])

    async def _work(self, now: int) -> None:
        if self.fails:
            raise self.fails
        self.done.append(now)

    async def turn(self) -> bool:
        return await self.chores.turn(self.chore)


@pytest.fixture(params=KINDS)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """As two processes have it; SQLite's file is open in one alone."""
    where = await place(request.param, request)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(opened(where, tmp_path))
        yield one, one if request.param == "sqlite" else await stack.enter_async_context(opened(where, tmp_path))


async def test_of_many_processes_one_does_a_chore_and_goes_on_doing_it(stores: tuple[Store, Store]) -> None:
    clock = StoppedClock()
    processes = [Process(store, clock) for store in stores * 2]
    first = await asyncio.gather(*(process.turn() for process in processes))
    assert sorted(first) == [False, False, False, True]
    for _ in range(5):
        clock.now += round(EVERY_S * 1000)
        assert await asyncio.gather(*(process.turn() for process in processes)) == first
    assert sorted(len(process.done) for process in processes) == [0, 0, 0, 6]


async def test_a_process_that_ends_hands_its_chores_on_at_once(stores: tuple[Store, Store]) -> None:
    clock = StoppedClock()
    one, other = (Process(store, clock) for store in stores)
    task = asyncio.ensure_future(one.chores.run())
    await until(lambda: bool(one.done))
    assert not await other.turn()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await other.turn()
    assert not await one.turn()


async def test_where_a_process_dies_another_goes_on_when_the_lease_has_run_out_and_it_gets_nothing_back(
    stores: tuple[Store, Store],
) -> None:
    clock = StoppedClock()
    dead, other = (Process(store, clock) for store in stores)
    assert await dead.turn()
    clock.now += round((EVERY_S + PATIENCE_S) * 1000)
    assert not await other.turn()
    clock.now += 1
    assert await other.turn()
    assert not await dead.turn()


async def test_a_process_that_ends_takes_no_lease_of_another_with_it(stores: tuple[Store, Store]) -> None:
    clock = StoppedClock()
    one, other = (Process(store, clock) for store in stores)
    assert await one.turn()
    task = asyncio.ensure_future(other.chores.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not await other.turn()


async def test_processes_share_the_chores_by_their_names(stores: tuple[Store, Store]) -> None:
    clock = StoppedClock()
    one, other = Process(stores[0], clock, "sweep"), Process(stores[1], clock, "dust")
    assert await one.turn()
    assert await other.turn()


async def test_a_chore_that_fails_is_told_of_once_and_done_again_and_stops_no_other(
    stores: tuple[Store, Store], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    clock = StoppedClock()
    failing, other = Process(stores[0], clock, "sweep", 0), Process(stores[0], clock, "dust", 0)
    failing.fails = StorageError("the disk is away", hint="bring it back")
    chores = Chores(stores[0].sql, clock, [failing.chore, other.chore])
    task = asyncio.ensure_future(chores.run())
    await until(lambda: "sweep" in chores.failed and len(other.done) > 2)
    assert chores.failed == {"sweep": "the disk is away; bring it back"}
    assert list(chores.done) == ["dust"]
    failing.fails = None
    await until(lambda: bool(failing.done) and not chores.failed)
    assert [record.message for record in caplog.records] == ["a chore fails", "a chore works again"]
    assert chores.done["sweep"] == clock.now
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_bug_in_a_chore_ends_neither_the_hub_nor_other_chores(
    stores: tuple[Store, Store], caplog: pytest.LogCaptureFixture
) -> None:
    clock = StoppedClock()
    failing, other = Process(stores[0], clock, "sweep", 0), Process(stores[0], clock, "dust", 0)
    failing.fails = KeyError("a bug")
    chores = Chores(stores[0].sql, clock, [failing.chore, other.chore])
    task = asyncio.ensure_future(chores.run())
    await until(lambda: task.done() or ("sweep" in chores.failed and len(other.done) > 2))
    assert chores.failed == {"sweep": "KeyError('a bug')"}
    failing.fails = None
    await until(lambda: bool(failing.done) and not chores.failed)
    assert [bool(record.exc_info) for record in caplog.records if record.message == "a chore fails"] == [True]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_where_a_chore_fails_in_one_process_another_may_do_it(stores: tuple[Store, Store]) -> None:
    clock = StoppedClock()
    failing, other = (Process(store, clock) for store in stores)
    failing.fails = StorageError("no way out to the internet from here")
    task = asyncio.ensure_future(failing.chores.run())
    await until(lambda: bool(failing.chores.failed))
    await until(other.turn)
    assert len(other.done) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_lease_of_a_clock_that_was_ahead_holds_nobody_up(stores: tuple[Store, Store]) -> None:
    clock, ahead = StoppedClock(), StoppedClock()
    ahead.now += 10**9
    dead, other, third = Process(stores[0], ahead), Process(stores[1], clock), Process(stores[0], clock)
    assert await dead.turn()
    assert await other.turn()
    assert not await third.turn()


async def test_clocks_that_differ_by_seconds_take_no_chore_from_each_other(stores: tuple[Store, Store]) -> None:
    clock, ahead = StoppedClock(), StoppedClock()
    ahead.now += round(1000 * PATIENCE_S)
    one, other = Process(stores[0], ahead), Process(stores[1], clock)
    assert await one.turn()
    assert not await other.turn()
