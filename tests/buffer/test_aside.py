"""Damaged files out of the way, whatever the clock says, and never the good one."""

import os
import time
from pathlib import Path

import pytest

from gateway.buffer import aside

pytestmark = pytest.mark.P1


def file(folder: Path, content: str) -> Path:
    path = folder / "b.db"
    path.write_text(content)
    return path


def test_the_file_that_was_set_aside_last_is_the_newest_also_where_the_clock_began_in_1970(tmp_path: Path) -> None:
    aside.set_aside(file(tmp_path, "first"), "20270101-000000")
    for content in ("second", "third"):
        moved = aside.set_aside(file(tmp_path, content), "19700101-000030")
        assert aside.newest(tmp_path / "b.db") == moved
        assert moved.read_text() == content
    aside.thin_out(tmp_path / "b.db")
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["second", "third"]


def test_a_good_file_stays_where_somebody_has_deleted_a_damaged_one_and_left_its_log(tmp_path: Path) -> None:
    path = file(tmp_path, "damaged")
    path.with_name("b.db-wal").write_text("log")
    aside.set_aside(path, "20270101-000000").unlink()
    path = file(tmp_path, "good")
    os.utime(path, (time.time() + 1,) * 2)  # beyond the grain of the file system's clock
    aside.finish_interrupted(path)
    assert path.read_text() == "good"


def test_what_a_crash_interrupted_is_finished(tmp_path: Path) -> None:
    path = file(tmp_path, "damaged")
    path.with_name("b.db-wal").write_text("log")
    path.with_name("b.db-wal").rename(tmp_path / "b.db.damaged-20270101-000000-wal")
    aside.finish_interrupted(path)
    assert not path.exists()
    assert (tmp_path / "b.db.damaged-20270101-000000").read_text() == "damaged"
