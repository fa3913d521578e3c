"""A disk that loses what is written to it for a while, and says so once: what is acknowledged afterwards is on it.

The same process goes on with the same files. Their pages in the cache are what the disk never got,
and on ext4 even writing them again would not bring them to where they are found after a power cut.
"""

import random
from pathlib import Path

import pytest

from gateway.core.database import Database
from gateway.core.errors import StorageError
from tests.faults.disks import failing_ext4

INSERT = "INSERT INTO frame (lo, hi, bytes) VALUES (?, 0, ?)"
ROUNDS = 4


@pytest.mark.P1
@pytest.mark.parametrize(
    ("pages_to_checkpoint", "meanwhile"), [(4000, 20), (8, 20), (20, 2), (20, 3), (40, 5), (80, 5)]
)
async def test_what_is_acknowledged_after_it_is_there_after_a_power_cut(
    tmp_path: Path, pages_to_checkpoint: int, meanwhile: int
) -> None:
    acknowledged: set[int] = set()

    async def write(count: int) -> int:
        """So many commits; how many failed."""
        failures = 0
        for _ in range(count):
            number = next(numbers)
            try:
                async with database.transaction() as db:
                    await db.execute(INSERT, (number, random.randbytes(2000)))
                acknowledged.add(number)
            except StorageError:
                failures += 1
        return failures

    async def opened() -> Database:
        return await Database.open(
            disk.path / "b.db", "gateway.buffer", page_size=1024, checkpoint_pages=pages_to_checkpoint
        )

    numbers = iter(range(1 << 30))
    with failing_ext4(tmp_path) as (disk, under):
        database = await Database.open(
            disk.path / "b.db", "gateway.buffer", page_size=1024, checkpoint_pages=pages_to_checkpoint
        )
        try:
            assert not await write(60)
            failures = 0
            for _ in range(ROUNDS):
                under.fill()
                failures += await write(meanwhile)
                under.free()
                await write(20)
            assert failures or meanwhile < 20
            disk.cut_power()
        finally:
            await database.close()
        disk.unmount()
        disk.mount()
        database = await Database.open(
            disk.path / "b.db", "gateway.buffer", page_size=1024, checkpoint_pages=pages_to_checkpoint
        )
        found = {number for (number,) in await database.fetch("SELECT lo FROM frame")}
        sound = await database.fetch("PRAGMA integrity_check")
        await database.close()
    assert [row[0] for row in sound] == ["ok"]
    assert acknowledged <= found, f"{len(acknowledged - found)} of {len(acknowledged)} are lost"
