"""A damaged file is set aside, taking goes on, what can be read is carried over, and what is lost is counted."""

import random
import shutil
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.model import UNCERTAIN, Event, Record
from gateway.core.span import Span
from tests.machine import Machine, Process
from tests.stored import everything
from tests.sync.parts import site, synced, syncing
from tests.values import METER, meter, power

PAGE = 1024
LAYOUTS = [meter(name) for name in "abc"]
RECORDS = 6000


async def fill(path: Path) -> list[Record]:
    """A file with segments and a tail, some of it acknowledged; its records."""
    buffer = await Buffer.open(path)
    for second in range(400):
        for layout in LAYOUTS:
            buffer.put(layout, [power(5 * second + n, random.randrange(1 << 32), layout=layout) for n in range(5)])
        await buffer.flushed()
        if second % 50 == 30:
            await buffer.sealing.seal()
    buffer.keep_spans("records", [(4500, None)])
    buffer.put_event(Event(1, "noted", "a", "before"))
    await buffer.notebook.keep_serial("a", "S1", 1)
    records = await everything(buffer)
    await buffer.close()
    return records


async def repaired(path: Path) -> Buffer:
    """The buffer of a damaged file, when all is carried over."""
    buffer = await Buffer.open(path)
    for layout in LAYOUTS:
        buffer.put(layout, [])  # as devices that are polled again
    while buffer._repair.carrying:
        await buffer.upkeep.round()
    await buffer.flushed()
    return buffer


async def lost(buffer: Buffer) -> float:
    (detail,) = [e.detail for e in await buffer.read_events(Span(0, 1000), 1000) if e.kind == "buffer_repaired"]
    return inf if "cannot be counted" in detail else int(detail.rpartition("lost are at most ")[2].partition(" ")[0])


def pages(path: Path) -> Iterator[int]:
    yield from range(0, path.stat().st_size, PAGE)


@pytest.mark.P1
async def test_whichever_page_is_spoilt_the_rest_is_carried_over_and_the_loss_is_counted(tmp_path: Path) -> None:
    before = {(r.seq, r.layout_id, r.ts, r.row) for r in await fill(tmp_path / "good.db")}
    whole, repairs = 0, 0
    places = list(pages(tmp_path / "good.db"))
    for number in random.sample(places, min(40, len(places))) + places[:2]:
        folder = tmp_path / f"{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path = folder / "b.db"
        shutil.copy(tmp_path / "good.db", path)
        with path.open("r+b") as file:
            file.seek(number)
            file.write(random.randbytes(PAGE))
        buffer = await repaired(path)
        if "damaged" not in " ".join(file.name for file in folder.iterdir()):
            buffer._database.damage = "as the check finds it"
            await buffer.heal()
            while buffer._repair.carrying:
                await buffer.upkeep.round()
        repairs += 1
        after = {(r.seq, r.layout_id, r.ts, r.row) for r in await everything(buffer)}
        assert after <= before, "nothing is invented"
        if number:
            assert len(before) - len(after) <= await lost(buffer), "what is missing is counted"
        whole += after == before
        buffer.put(METER, [power(1)])
        await buffer.flushed()
        assert [r.ts for r in await everything(buffer)][-1] == 1
        await buffer.close()
    assert whole > repairs / 4


@pytest.mark.P1
async def test_a_file_that_is_no_database_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    (tmp_path / "b.db").write_bytes(b"not a database, but long enough to be looked at" * 50)
    buffer = await repaired(tmp_path / "b.db")
    buffer.put(METER, [power(1)])
    await buffer.flushed()
    assert [record.ts for record in await everything(buffer)] == [1]
    kinds = [event.kind for event in await buffer.read_events(Span(0, 9), 9)]
    assert kinds == ["buffer_damaged", "buffer_repaired"]
    assert list(tmp_path.glob("b.db.damaged-????????-??????"))
    await buffer.close()


@pytest.mark.P1
async def test_a_file_that_was_cut_off_keeps_what_is_before_the_cut(tmp_path: Path) -> None:
    before = await fill(tmp_path / "b.db")
    with (tmp_path / "b.db").open("r+b") as file:
        file.truncate((tmp_path / "b.db").stat().st_size * 4 // 5 // PAGE * PAGE)
    buffer = await repaired(tmp_path / "b.db")
    after = await everything(buffer)
    assert 0 < len(after) < len(before)
    assert len(before) - len(after) <= await lost(buffer)
    await buffer.close()


@pytest.mark.P1
@pytest.mark.P2
async def test_the_hub_gets_what_is_carried_over_once_and_nothing_again_that_it_had(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        for number in range(600):
            buffer.put(METER, [power(number)])
            if number % 6 == 5:
                await buffer.flushed()
            if number == 299:
                await buffer.sealing.seal()
                async with syncing(buffer, hub) as engine:
                    await synced(engine, buffer)
        epoch = buffer.epoch
        async with syncing(buffer, hub) as engine:
            await buffer.flushed()
            buffer._database.damage = "as the check finds it"
            await buffer.heal()
            buffer.put(METER, [power(600)])
            await buffer.flushed()
            sent = len(hub.batches)
            await buffer.upkeep.round()
            buffer.put(METER, [power(601)])
            await buffer.flushed()
            while len(await hub.times()) < 602:
                await synced(engine, buffer)
        assert buffer.epoch != epoch
        assert await hub.times() == list(range(602))
        assert sum(span == "records 0-300" for span in hub.batches[sent:]) == 0


@pytest.mark.P1
async def test_a_restart_amid_a_repair_forgets_nothing_that_is_to_be_sent(tmp_path: Path) -> None:
    """Where the hub had all before the damage, and was away afterwards."""
    async with site(tmp_path) as (buffer, hub):
        buffer.put(METER, [power(number) for number in range(100)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        await buffer.flushed()
        buffer._database.damage = "as the check finds it"
        await buffer.heal()
        buffer.put(METER, [power(number) for number in range(100, 150)])
        await buffer.flushed()
        await buffer.close()
        again = await repaired(tmp_path / "buffer.db")
        async with syncing(again, hub) as engine:
            again.put(METER, [power(150)])
            await again.flushed()
            await synced(engine, again)
        await again.close()
        assert await hub.times() == list(range(151))


@pytest.mark.P5
async def test_estimates_of_a_damaged_file_are_not_corrected_by_what_another_boot_learns(tmp_path: Path) -> None:
    machine = Machine()
    first = await Process.start(machine, tmp_path / "b.db")
    await first.poll_for(0, 60)
    await first.buffer.flushed()
    first.buffer._database.damage = "as the check finds it"
    await first.buffer.heal()
    await first.buffer.close()  # nothing is carried over yet
    estimates = list(range(1000, 61_000, 1000))
    machine.boot(off_s=3600)
    second = await Process.start(machine, tmp_path / "b.db")
    machine.synchronise()
    second.clock.look()
    while second.buffer._repair.carrying:
        await second.buffer.upkeep.round()
    await second.settle()
    assert [(r.ts, r.flags) for r in await everything(second.buffer)] == [(ts, UNCERTAIN) for ts in estimates]
    await second.buffer.close()


@pytest.mark.P1
@pytest.mark.parametrize("pieces", range(0, 12, 3))
async def test_a_repair_that_is_killed_goes_on_at_the_next_start(tmp_path: Path, pieces: int) -> None:
    before = await fill(tmp_path / "b.db")
    buffer = await Buffer.open(tmp_path / "b.db")
    buffer._database.damage = "as the check finds it"
    await buffer.heal()
    for _ in range(pieces):
        assert await buffer._repair.step()
    await buffer._database.close()  # what was only put is lost
    again = await repaired(tmp_path / "b.db")
    assert [(r.seq, r.ts, r.row) for r in await everything(again)] == [(r.seq, r.ts, r.row) for r in before]
    assert await lost(again) == 0
    assert await again.notebook.serials() == {"a": "S1"}
    assert "before" in [event.detail for event in await again.read_events(Span(0, 1000), 1000)]
    await again.close()


async def test_a_repair_that_always_brings_the_program_down_is_given_up_and_said(tmp_path: Path) -> None:
    await fill(tmp_path / "b.db")
    buffer = await Buffer.open(tmp_path / "b.db")
    buffer._database.damage = "as the check finds it"
    await buffer.heal()
    await buffer._database.close()
    for _ in range(2):
        buffer = await Buffer.open(tmp_path / "b.db")
        assert buffer._repair._carry is not None
        assert await buffer._repair._may_try(buffer._repair._carry)  # and there it ended
        await buffer._database.close()
    buffer = await Buffer.open(tmp_path / "b.db")
    await buffer.upkeep.round()
    await buffer.flushed()
    assert not buffer._repair.carrying
    assert await lost(buffer) == RECORDS
    await buffer.close()


async def test_restarts_do_not_give_up_what_is_carried_over(tmp_path: Path) -> None:
    """Neither those before it is begun, nor those amid it, as long as it gets on."""
    await fill(tmp_path / "b.db")
    buffer = await Buffer.open(tmp_path / "b.db")
    buffer._database.damage = "as the check finds it"
    await buffer.heal()
    for pieces in 5 * [0] + 4 * [1]:
        await buffer._database.close()
        buffer = await Buffer.open(tmp_path / "b.db")
        for _ in range(pieces):
            assert await buffer._repair.step()
    await buffer.upkeep.round()
    assert len(await everything(buffer)) == RECORDS
    await buffer.close()


async def test_renaming_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    await fill(tmp_path / "b.db")
    (tmp_path / "b.db-wal").write_bytes(b"a log")
    (tmp_path / "b.db-wal").rename(tmp_path / "b.db.damaged-20260101-000000-wal")
    buffer = await repaired(tmp_path / "b.db")
    assert (tmp_path / "b.db.damaged-20260101-000000").exists()
    assert len(await everything(buffer)) == RECORDS
    await buffer.close()


async def test_a_spoilt_frame_costs_its_own_records_and_holds_up_no_others(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    for second in range(10):
        buffer.put(METER, [power(second), power(100 + second)])
        await buffer.flushed()
    async with buffer._database.transaction() as db:
        await db.execute("UPDATE frame SET bytes = zeroblob(50) WHERE lo = 6")
    shown = (await buffer.history("meter", "power", 0, 100, "raw")).rows
    assert [row.ts for row in shown] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert (await buffer.read(Span(0, 20), 100))[0] == Span(0, 20)
    buffer._database.damage = "as the check finds it"
    await buffer.heal()
    await buffer.upkeep.round()
    await buffer.flushed()
    assert len(await everything(buffer)) == 18
    assert await lost(buffer) == 2
    await buffer.close()
