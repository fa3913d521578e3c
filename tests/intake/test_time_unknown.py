"""What devices send while the gateway does not know the time (P5)."""

from pathlib import Path

import msgspec
import pytest

from drivers.intake import guard, shapes
from gateway.core.model import DATED, UNCERTAIN
from gateway.intake import Intake
from tests.intake.parts import METER
from tests.machine import TRUE_MS, Machine, Process
from tests.stored import everything

pytestmark = pytest.mark.P5


async def test_a_device_that_knows_the_time_is_believed_and_receipt_is_corrected_later(tmp_path: Path) -> None:
    machine = Machine()
    process = await Process.start(machine, tmp_path / "buffer.db")
    intake = Intake(process.site, process.live, process.buffer, process.clock, shapes, guard, "UTC")
    intake.add(METER)
    answers = []
    for body in (
        {"ts": TRUE_MS - 7_200_000, "values": {"Psum": 1}},
        {"ts": TRUE_MS, "values": {"Psum": 2}},
        {"values": {"Psum": 3}},
        {"ts": 86_400_000, "values": {"Psum": 4}},
        {"ts": 5_000_000_000_000, "values": {"Psum": 5}},
    ):
        answers.append(await intake.push(METER.name, msgspec.json.encode(body), ""))
        machine.go_on(1)
    assert [answer.accepted for answer in answers] == [1, 1, 1, 0, 0]
    assert [answer.doubtful for answer in answers] == [0, 0, 0, 1, 1]
    assert [record.flags for record in await everything(process.buffer)] == [DATED, DATED, UNCERTAIN]
    machine.synchronise()
    process.clock.look()
    await process.settle()
    kept = [(record.ts, record.flags) for record in await everything(process.buffer)]
    assert kept == [(TRUE_MS - 7_200_000, DATED), (TRUE_MS, DATED), (TRUE_MS + 2000, 0)]
    await process.buffer.close()


async def test_receipt_after_the_clock_was_set_back_is_stamped_with_the_new_time(tmp_path: Path) -> None:
    machine = Machine()
    machine.synchronise()
    process = await Process.start(machine, tmp_path / "buffer.db")
    process.clock.look()
    intake = Intake(process.site, process.live, process.buffer, process.clock, shapes, guard, "UTC")
    intake.add(METER)
    await intake.push(METER.name, b'{"values": {"Psum": 1}}', "")
    machine.set_by(-3600)
    await intake.push(METER.name, b'{"values": {"Psum": 2}}', "")
    assert [record.ts for record in await everything(process.buffer)] == [TRUE_MS, TRUE_MS - 3_600_000]
    await process.buffer.close()
