"""A damaged file may have lost a layout: what it explained waits, and all else goes on."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from tests.sync.parts import site, synced
from tests.sync.test_ledger import comparing
from tests.values import METER, meter, power

OTHER = meter("other")


@pytest.mark.P2
@pytest.mark.parametrize("sealed", [False, True], ids=["frames", "blocks"])
async def test_records_of_a_lost_layout_hold_up_nothing_and_arrive_once_it_is_known_again(
    tmp_path: Path, sealed: bool
) -> None:
    async with site(tmp_path) as (buffer, hub):
        buffer.put(METER, [power(ms) for ms in range(10)])
        buffer.put(OTHER, [power(ms, layout=OTHER) for ms in range(10)])
        await buffer.flushed()
        if sealed:
            await buffer.sealing.seal()
        await buffer.close()
        with sqlite3.connect(tmp_path / "buffer.db") as file:
            file.execute("DELETE FROM layout WHERE id = ?", (OTHER.id,))
        file.close()
        again = await Buffer.open(tmp_path / "buffer.db")
        async with comparing(again, hub) as (comparison, engine):
            await synced(engine, again)
            assert await hub.times() == list(range(10))
            again.put(OTHER, [power(99, layout=OTHER)])  # the device says it anew
            await again.flushed()
            await synced(engine, again)
            comparison.compare_now()
            while await hub.times(OTHER) != [*range(10), 99]:
                await asyncio.sleep(0)
        await again.close()
