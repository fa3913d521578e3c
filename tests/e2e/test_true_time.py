"""A real gateway whose machine's clock begins in 1970 and is set while it runs (P5)."""

import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.clock import SystemClock, plausible
from gateway.core.model import Record
from tests.e2e.parts import ROOT, free_ports, part, served, until
from tests.needs import lacks
from tests.stored import everything

BERLIN = ZoneInfo("Europe/Berlin")
SITE = """
site: {{name: Test site}}
page: {{port: {page}}}
buses:
  - {{name: one, tcp: "127.0.0.1:{one}", devices: [{{name: counter, profile: counter, poll_s: 0.1}}]}}
"""
SIMULATOR = """
log: served.jsonl
buses:
  - {{name: one, port: {one}, devices: [{{name: counter, counter: true}}]}}
"""


def faketime(folder: Path) -> dict[str, str]:
    """The environment of a process whose wall time, and nothing else, is off by what `folder`/clock says."""
    found = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        lacks("libfaketime", "faketime")
    return {
        "LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip


def next_change() -> int:
    """When the clocks of Berlin change next, in seconds since 1970."""
    hours = range(int(time.time()) // 3600 * 3600, int(time.time()) + 300 * 86_400, 3600)
    offsets = [datetime.fromtimestamp(hour, BERLIN).utcoffset() for hour in hours]
    return next(hour for hour, before, after in zip(hours[1:], offsets, offsets[1:], strict=False) if before != after)


def uncorrected(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'buffer.db'}?mode=ro", uri=True)) as db:
        found: tuple[int] = db.execute("SELECT count(*) FROM frame WHERE boot IS NOT NULL").fetchone()
        return found[0]


@pytest.mark.P5
async def test_a_gateway_that_booted_in_1970_ends_with_true_times_and_lives_through_steps(tmp_path: Path) -> None:
    if SystemClock().synchronised():
        pytest.skip("this machine's kernel says that its clock is synchronised; that cannot be faked")
    ports, environment, clock = free_ports("page", "one"), faketime(tmp_path), tmp_path / "clock"
    (tmp_path / "site.yaml").write_text(SITE.format(**ports))
    (tmp_path / "simulator.yaml").write_text(SIMULATOR.format(**ports))
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/counter.yaml").write_text((ROOT / "tests/profiles/counter.yaml").read_text())
    clock.write_text(f"-{int(time.time()) - 100}")
    async with aiohttp.ClientSession() as http, part(tmp_path, "sim", "simulator.yaml"):

        async def state() -> dict[str, Any]:
            async with http.get(f"http://127.0.0.1:{ports['page']}/api/v1/state") as answer:
                found: dict[str, Any] = await answer.json()
                return found

        async def twenty_more() -> int:
            head: int = (await state())["buffer"]["head"]
            await until(lambda s: s["buffer"]["head"] > head + 20, state)
            return (await state())["buffer"]["head"]

        async with part(tmp_path, "run", "site.yaml", TZ=BERLIN.key, **environment) as gateway:
            in_1970 = await twenty_more()
            before = await state()
            assert not plausible(before["now"])
            assert not before["clock"]["known"]
            assert uncorrected(tmp_path)
            clock.write_text("+0")
            await until(lambda s: s["clock"]["known"] and not uncorrected(tmp_path), state)
            known = await twenty_more()
            change = next_change()
            ahead_ms = 1000 * (change - 3 - int(time.time()))
            clock.write_text(f"+{ahead_ms // 1000}")  # to just before it
            await until(lambda s: s["clock"]["steps"] == 1 and s["now"] > 1000 * change + 1000, state)
            forward = await twenty_more()
            clock.write_text("+0")
            await until(lambda s: s["clock"]["steps"] == 2, state)
            await twenty_more()
            gateway.terminate()
            assert await gateway.wait() == 0
    buffer = await Buffer.open(tmp_path / "buffer.db")
    layout = next(layout for layout in buffer.layouts.values() if layout.group == "live")
    kept = [record for record in await everything(buffer) if record.layout_id == layout.id]
    await buffer.close()
    shown = served(tmp_path, "counter")

    def late_ms(record: Record) -> int:
        """How much later it is stamped than it was served."""
        return record.ts - shown[int(str(layout.rows.unpack(record.row)[0]))]

    assert {record.flags for record in kept} == {0}
    counts = [int(str(layout.rows.unpack(record.row)[0])) for record in kept]
    assert counts == list(range(counts[0], counts[0] + len(counts))), "no poll is lost"
    # The same amount was added to all: the quickest answer tells how right that is, however busy the machine is.
    corrected = [late_ms(record) for record in kept if record.seq < in_1970]
    assert -2 <= min(corrected) <= 50
    assert -2 <= min(late_ms(record) for record in kept if in_1970 <= record.seq < known) <= 50
    ahead = [late for record in kept if known <= record.seq < forward and (late := late_ms(record)) > ahead_ms // 2]
    assert len(ahead) > 20
    assert ahead_ms - 2 <= min(ahead) <= max(ahead) < ahead_ms + 60_000, "the daylight change moves nothing"
    assert -2 <= late_ms(kept[-1]) < 60_000
