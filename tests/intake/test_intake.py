"""What becomes of records that devices send."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from gateway.core.errors import StorageError
from gateway.core.model import BACKFILLED, DATED
from gateway.core.pushed import PushAnswer
from gateway.pushlayouts import LAYOUTS_MAX
from tests.intake.parts import METER, NOW, side


def body(ts: int | None, power: float = 1.0, **more: object) -> str:
    return json.dumps(({} if ts is None else {"ts": ts}) | {"values": {"power": power, "voltage": 230}} | more)


@pytest.mark.P1
async def test_what_is_answered_for_is_on_the_disk(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        assert await gateway.push(body(NOW)) == PushAnswer(accepted=1)
        assert await gateway.values() == [(NOW, {"power": 1.0, "voltage": 230.0})]
        assert gateway.state().presence == "online"


@pytest.mark.P2
async def test_the_same_record_again_is_a_duplicate_also_after_a_restart(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        await gateway.push(body(NOW))
        assert await gateway.push(f"[{body(NOW)}, {body(NOW, 2)}, {body(NOW, 2)}]") == PushAnswer(1, 2)
    async with side(tmp_path) as gateway:
        assert await gateway.push(body(NOW, 2)) == PushAnswer(duplicate=1)
        assert len(await gateway.kept()) == 2


@pytest.mark.P1
@pytest.mark.P2
async def test_a_crash_before_the_mark_leaves_a_record_and_takes_none(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        await gateway.push(body(NOW))
    with sqlite3.connect(tmp_path / "buffer.db") as file:
        file.execute("DELETE FROM pushed")  # as a crash between the two transactions leaves it
    file.close()
    async with side(tmp_path) as gateway:
        assert (await gateway.push(body(NOW))).accepted == 1
        first, second = await gateway.kept()
        assert (first.layout_id, first.ts, first.row) == (second.layout_id, second.ts, second.row), "one for the hub"


async def test_what_the_disk_did_not_take_is_not_kept_twice_when_it_is_sent_again(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        await gateway.push(body(NOW))
        locked = sqlite3.connect(tmp_path / "buffer.db", isolation_level=None)
        locked.execute("PRAGMA busy_timeout = 0")
        await gateway.buffer._database._writer.execute("PRAGMA busy_timeout = 0")
        locked.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(StorageError):
                await gateway.push(body(NOW + 1))
        locked.execute("COMMIT")
        locked.close()
        assert await gateway.push(body(NOW + 1)) == PushAnswer(duplicate=1)
        assert [record.ts for record in await gateway.kept()] == [NOW, NOW + 1]


async def test_two_that_send_the_same_at_the_same_moment_are_one(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        answers = await asyncio.gather(*(gateway.push(body(NOW)) for _ in range(5)))
        assert sorted(answer.accepted for answer in answers) == [0, 0, 0, 0, 1]
        assert len(await gateway.kept()) == 1
        answers = await asyncio.gather(*(gateway.push(body(7)) for _ in range(5)))
        assert sum(answer.doubtful for answer in answers) == gateway.state().doubtful == 1


@pytest.mark.P3
async def test_late_records_are_marked_and_do_not_change_what_is_shown(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        await gateway.push(body(NOW, 5))
        await gateway.push(f"[{body(NOW - 301_000, 7)}, {body(NOW - 299_000, 8)}]")
        assert [record.flags for record in await gateway.kept()] == [DATED, DATED | BACKFILLED, DATED]
        assert gateway.state().readings[0].value == 5
        assert gateway.state().ts == NOW


async def test_a_record_without_a_time_gets_that_of_receipt_and_a_second_one_another(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        for _ in range(2):
            assert await gateway.push(body(None)) == PushAnswer(accepted=1)
        assert [record.ts for record in await gateway.kept()] == [NOW, NOW + 1]
        assert await gateway.push(f"[{body(None)}, {body(NOW)}]") == PushAnswer(accepted=1, doubtful=1)


@pytest.mark.P5
async def test_impossible_times_are_set_aside_counted_and_shown_after_a_restart(tmp_path: Path) -> None:
    sent = f"[{body(946_684_800)}, {body(NOW + 301_000)}, {body(NOW)}]"
    async with side(tmp_path) as gateway:
        assert await gateway.push(sent) == PushAnswer(accepted=1, doubtful=2)
        assert await gateway.push(sent) == PushAnswer(duplicate=3)
        assert gateway.state().doubtful == 2
    async with side(tmp_path) as gateway:
        assert gateway.state().doubtful == 2
        rows = await gateway.buffer._database.fetch("SELECT device, received, reason, body FROM doubtful ORDER BY id")
        assert [(row[0], row[1]) for row in rows] == [(METER.name, NOW)] * 2
        assert "before 2020" in rows[0][2]
        assert json.loads(rows[0][3])["values"] == {"power": 1.0, "voltage": 230.0}


@pytest.mark.P5
async def test_a_record_with_an_impossible_time_is_put_where_its_index_stands(tmp_path: Path) -> None:
    stamps = [(1, NOW - 120_000), (2, 946_684_800_000), (3, NOW), (4, 946_684_800_000)]
    async with side(tmp_path) as gateway:
        sent = [json.loads(body(ts, index, index=index)) for index, ts in stamps]
        assert await gateway.push(json.dumps(sent)) == PushAnswer(accepted=3, doubtful=1)
        assert [record.ts for record in await gateway.kept()] == [NOW - 120_000, NOW - 60_000, NOW]


async def test_psum_in_w_and_in_kw_are_one_point_of_one_layout(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        for param, value, unit in (("Psum", "2860", "W"), ("Psum_kW", "2.86", "kW")):
            readings = [{"param": param, "value": value, "unit": unit}, {"param": "V1", "value": "230", "unit": "V"}]
            await gateway.push(json.dumps({"timestamp": NOW, "readings": readings}))
        first, second = await gateway.kept()
        assert first.layout_id == second.layout_id
        assert gateway.named(second) == {"V1": 230.0, "active_power": 2860.0}
        power = gateway.buffer.layouts[first.layout_id].points[1]
        assert (power.unit, power.quantity, power.kind) == ("W", "power", "gauge")


async def test_a_value_that_comes_alone_makes_up_a_group_of_its_own(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        for key, value in (("power", 1), ("voltage", 230), ("state", "on")):
            await gateway.push(json.dumps({"ts": NOW, "values": {key: value}}))
        assert [(r.key, r.value) for r in gateway.state().readings] == [("power", 1), ("voltage", 230), ("state", "on")]


async def test_a_key_that_comes_alone_and_with_others_is_shown_once_and_newest(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        for ts, values in ((2, {"power": 2, "voltage": 230}), (1, {"power": 1}), (3, {"power": 3})):
            await gateway.push(json.dumps({"ts": NOW + ts, "values": values}))
            shown = {reading.key: reading.value for reading in gateway.state().readings}
            assert shown == {"power": max(ts, 2), "voltage": 230}
            assert len(gateway.state().readings) == 2


async def test_a_device_that_sends_ever_new_names_is_stopped(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        sent = [{"ts": NOW, "values": {f"key{i}": 1}} for i in range(LAYOUTS_MAX + 1)]
        answer = await gateway.push(json.dumps(sent))
        assert answer.accepted == LAYOUTS_MAX
        assert "different sets of names" in answer.rejected[0].reason
    async with side(tmp_path) as gateway:
        assert (await gateway.push('{"one": 1}')).rejected, "the limit outlives a restart"
        assert (await gateway.push('{"key7": 1}')).accepted == 1


async def test_a_silent_device_is_offline_and_comes_back(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        gateway.clock.goes_on(901)
        gateway.intake.look()
        assert gateway.state().reason.startswith("nothing came since the gateway started")
        for _ in range(4):
            gateway.clock.goes_on(600)
            await gateway.push(body(gateway.clock.now_ms))
        gateway.clock.goes_on(1799)
        gateway.intake.look()
        assert gateway.state().presence == "online"
        gateway.clock.goes_on(2)
        gateway.intake.look()
        assert gateway.state().presence == "offline"
        assert gateway.state().reason.startswith("nothing came since 2026-09-21 15:08 UTC; ")
        await gateway.push(body(gateway.clock.now_ms))
        assert gateway.state().presence == "online"


async def test_marks_are_forgotten_after_their_time(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        await gateway.push(body(NOW))
        await gateway.buffer.pushed.forget(NOW, 10)
        assert (await gateway.push(body(NOW))).duplicate == 1
        await gateway.buffer.pushed.forget(NOW + 1, 10)
        assert (await gateway.push(body(NOW))).accepted == 1


async def test_of_doubtful_records_the_newest_stay(tmp_path: Path) -> None:
    async with side(tmp_path) as gateway:
        await gateway.push(f"[{', '.join(body(i) for i in range(5))}]")
        await gateway.buffer.pushed.forget(0, 2)
        rows = await gateway.buffer._database.fetch("SELECT body FROM doubtful ORDER BY id")
        assert [json.loads(row[0])["ts_ms"] for row in rows] == [3000, 4000]
