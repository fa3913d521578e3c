"""P1 under power cuts: an ext4 of the test's own loses all that was not flushed, and comes up from its journal."""

import os
import random
import threading
from pathlib import Path

import pytest

from tests.faults.accounting import Kept, by_buffer, by_sql, check, check_sound, copied, in_flight
from tests.faults.disks import Disk, ext4
from tests.faults.writers import Writers, writers

CUTS = 50
BOTH_WAYS_EVERY = 10  # cuts


def cut(disk: Disk, writer: Writers, chance: random.Random) -> None:
    """Cut the power under the writer, who is amid its work; what it said until then counts."""
    writer.work(chance.randrange(1, 30))

    def lose_power() -> None:
        # Who works on without power is lied to: ext4 then calls a file that it could not lengthen flushed (6.18; a
        # bare write with fdatasync met it in 48 cuts of 300).
        writer.stop()
        disk.cut_power()

    moment = threading.Timer(chance.uniform(0, 0.005), lose_power)
    moment.start()
    moment.join()
    writer.kill()
    disk.unmount()
    disk.mount()


@pytest.mark.P1
def test_nothing_that_was_acknowledged_is_lost_or_doubled_by_power_cuts(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    chance, kept, again = random.Random(seed), Kept({}, [], [], [], 0), set[int]()
    with ext4(tmp_path) as disk, writers() as writer:
        for number in range(CUTS):
            writer.start(disk.path, polled=kept.polled)
            cut(disk, writer, chance)
            kept = by_sql(copied(disk.path, tmp_path / "copy"))
            again |= in_flight(writer.acknowledged)
            try:
                check(kept, writer.acknowledged, again)
            except AssertionError as error:
                raise AssertionError(f"cut {number} of seed {seed}") from error
            if number % BOTH_WAYS_EVERY == 0:
                assert by_buffer(copied(disk.path, tmp_path / "copy")).records == kept.records
    assert writer.acknowledged.polled and writer.acknowledged.pushed


def test_a_cut_does_take_what_was_not_flushed(tmp_path: Path) -> None:
    """Else the test above would prove nothing: without a flush at each commit the same accounting finds a loss."""
    with ext4(tmp_path) as disk, writers() as writer:
        writer.start(disk.path)
        writer.work(10)
        os.sync()
        writer.kill()
        kept, again = by_sql(copied(disk.path, tmp_path / "copy")), in_flight(writer.acknowledged)
        writer.start(disk.path, polled=kept.polled, synchronous="NORMAL", checkpoint=0)
        writer.work(20)
        disk.cut_power()
        writer.kill()
        disk.unmount()
        disk.mount()
        left = check_sound(by_sql(copied(disk.path, tmp_path / "copy")), again)
        assert left.polled < writer.acknowledged.polled
