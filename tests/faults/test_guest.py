"""P1 on a whole machine whose power is cut: its own kernel, its own page cache, its own disk.

Takes minutes and fetches a kernel, and so runs only where HOLDFAST_LONG is 1 and the tools are there.
"""

import json
import os
import random
from pathlib import Path

import pytest

from tests.faults import guest
from tests.faults.accounting import Kept, by_buffer, by_sql, check, copied, in_flight
from tests.faults.disks import Disk, needs_mounts
from tests.faults.writers import Acknowledged
from tests.needs import needs

CUTS = 3
ORDER = {"folder": "/site", "synchronous": "FULL", "checkpoint": 100}


def work_until_cut(folder: Path, acknowledgements: int, acknowledged: Acknowledged) -> None:
    """Start the guest, hear that many acknowledgements, cut its power, hear what it had said by then."""
    with guest.running(folder) as machine:
        for line in guest.lines(machine):
            what, _, number = line.partition(" ")
            assert what != "ended", "the writer ended by itself"
            if what in ("polled", "pushed"):
                setattr(acknowledged, what, int(number))
                acknowledgements -= 1
            if acknowledgements == 0:
                machine.kill()
    assert acknowledgements <= 0, "the guest ended by itself"


@pytest.mark.P1
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.environ.get("HOLDFAST_LONG") != "1", reason="takes minutes; HOLDFAST_LONG=1 runs it")
def test_a_machine_whose_power_is_cut_has_all_that_it_acknowledged(tmp_path: Path) -> None:
    needs_mounts()
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static")):
        needs(program, package)
    needs("apt-get", "apt")
    guest.build(tmp_path)
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk", tmp_path / "disk.img", "-o", "loop")
    chance, kept, acknowledged, again = random.Random(), Kept({}, [], [], [], 0), Acknowledged(), set[int]()
    for _ in range(CUTS):
        disk.mount()
        order = ORDER | {"polled": kept.polled, "pushed": acknowledged.pushed}
        (disk.path / "order").write_text(json.dumps(order) + "\n")
        disk.unmount()
        work_until_cut(tmp_path, chance.randrange(20, 200), acknowledged)
        disk.mount()
        copied(disk.path / "site", tmp_path / "copy")
        copied(disk.path / "site", tmp_path / "other")
        disk.unmount()
        again |= in_flight(acknowledged)
        kept = by_sql(tmp_path / "copy")
        check(kept, acknowledged, again)
        assert by_buffer(tmp_path / "other").records == kept.records
