"""How much is written to the disk in a day, by its own counter."""

import os
from pathlib import Path

import pytest

from gateway.wear import Wear
from tests.buffer.stocked import StandingClock

HOUR_S = 3600


class Disk:
    """A counter as the kernel keeps it, of the disk that `path` is on."""

    def __init__(self, folder: Path, path: Path, *, partition: bool = False) -> None:
        device = path.stat().st_dev
        place = folder / f"{os.major(device)}:{os.minor(device)}"
        if partition:
            part = folder / "disk" / "part1"
            part.mkdir(parents=True)
            (part / "partition").write_text("1\n")
            (part / "stat").write_text("0 0 0 0 0 0 1 0 0 0 0\n")
            place.symlink_to(part)
            place = folder / "disk"
        place.mkdir(exist_ok=True)
        self._stat = place / "stat"
        self.write(0)

    def write(self, total: int) -> None:
        self._stat.write_text(f"    9 0 8 0 7 0 {total // 512} 0 0 0 0 0 0 0 0\n")


def at(clock: StandingClock, seconds: float) -> None:
    clock.now_ms = round(1000 * seconds)


@pytest.mark.parametrize("partition", [False, True])
def test_after_a_minute_it_says_what_a_day_would_be(tmp_path: Path, partition: bool) -> None:
    clock, disk = StandingClock(), Disk(tmp_path, tmp_path, partition=partition)
    at(clock, 0)
    wear = Wear(tmp_path, 30, clock, tmp_path)
    disk.write(1_024_000)
    at(clock, 59)
    assert wear.bytes_per_day() == 0
    at(clock, 60)
    assert wear.bytes_per_day() == 1_024_000 * 1440


def test_the_rate_is_that_of_the_last_day(tmp_path: Path) -> None:
    clock, disk = StandingClock(), Disk(tmp_path, tmp_path)
    at(clock, 0)
    wear = Wear(tmp_path, 30, clock, tmp_path)
    disk.write(10**12 // 512 * 512)  # an update of the system, in the first hour
    for hour in range(1, 49):
        at(clock, hour * HOUR_S)
        wear.bytes_per_day()
    assert wear.bytes_per_day() == 0
    disk.write(10**12 // 512 * 512 + 512_000)
    assert wear.bytes_per_day() == 512_000


def test_a_counter_that_begins_anew_is_no_negative_rate(tmp_path: Path) -> None:
    clock, disk = StandingClock(), Disk(tmp_path, tmp_path)
    at(clock, 0)
    disk.write(512_000)
    wear = Wear(tmp_path, 30, clock, tmp_path)
    disk.write(0)
    at(clock, 600)
    assert wear.bytes_per_day() == 0


def test_a_disk_that_does_not_count_is_not_known(tmp_path: Path) -> None:
    clock = StandingClock()
    wear = Wear(tmp_path, 30, clock, tmp_path / "none")
    clock.now_ms += 600_000
    assert wear.bytes_per_day() == 0
    assert wear.years(0) == 0


def test_a_card_of_30_tb_lasts_41_years_at_2_gb_a_day(tmp_path: Path) -> None:
    assert round(Wear(tmp_path, 30, StandingClock()).years(2_000_000_000)) == 41
