"""What the technician sees of a buffer's file."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from gateway.core.model import Event
from tests.buffer.onfile import HUB, fill, holdfast, opened, site_yaml, writer
from tests.values import METER, meter, power

NOON = 1_795_172_400_000  # 2026-11-20T12:00 in Berlin


async def some_buffer(folder: Path) -> Path:
    """A site whose buffer has a segment, a tail of two frames, an event, and 25 unsent records."""
    async with opened(folder / "buffer.db") as buffer:
        buffer.put(METER, [power(NOON + second * 1000, second) for second in range(20)])
        buffer.put(meter("other"), [power(NOON - 5000, 1, layout=meter("other"))])
        await buffer.flushed()
        await buffer.sealing.seal()
        await buffer.upkeep.round()
        buffer.put_event(Event(NOON, "gateway_started"))
        buffer.keep_spans("records", [(3, 7), (10, None)])
        buffer.keep_spans("events", [(1, None)])
        for second in range(20, 30):
            buffer.put(METER, [power(NOON + second * 1000, second)])
            if second % 5 == 4:
                await buffer.flushed()
    return site_yaml(folder, "buffer: {budget_mb: 20, commit_interval_s: 10}\n" + HUB)


def change(buffer: Path, statement: str, *parameters: object) -> None:
    """Spoil the file in a way of which SQLite itself knows nothing."""
    with closing(sqlite3.connect(buffer)) as db, db:
        db.execute(statement, parameters)


async def test_events_that_went_for_want_of_room_are_not_taken_for_fewer_unsent(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        for number in range(10):
            buffer.put_event(Event(NOON + number, "noted"))
        buffer.keep_spans("events", [(7, None)])
    change(tmp_path / "buffer.db", "DELETE FROM event WHERE seq < 5")
    found = json.loads((await holdfast("buffer", "stat", "--config", site_yaml(tmp_path, HUB), "--json"))[1])
    assert (found["events"], found["unsent"]["events"]["count"]) == (5, 3)


async def test_stat_says_what_is_in_the_file(tmp_path: Path) -> None:
    site = await some_buffer(tmp_path)
    code, out, err = await holdfast("buffer", "stat", "--config", site, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["head"], found["records"], found["segments"], found["frames"], found["events"]) == (31, 31, 1, 2, 1)
    assert found["unsent"] == {"records": {"count": 25, "spans": 2}, "events": {"count": 0, "spans": 0}}
    assert (found["oldest"], found["newest"]) == (NOON - 5000, NOON + 29_000)
    assert [(one["device"], one["oldest"], one["newest"]) for one in found["layouts"]] == [
        ("meter", NOON, NOON + 29_000), ("other", NOON - 5000, NOON - 5000),
    ]  # fmt: skip
    assert (found["budget_bytes"], found["commit_interval_s"]) == (20_000_000, 10)
    assert found["bytes"] + found["log_bytes"] >= (tmp_path / "buffer.db").stat().st_size > 0
    _, out, _ = await holdfast("buffer", "stat", "--config", site)
    assert "31 here, 2026-11-20 11:59:55 to 2026-11-20 12:00:29" in out
    assert "25, in spans: 2" in out


async def test_stat_says_how_often_it_is_committed_now_and_without_a_hub_nothing_of_sending(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(5))
        await buffer.pace.choose(10)
    site = site_yaml(tmp_path)
    _, out, _ = await holdfast("buffer", "stat", "--config", site)
    assert "every 10 s, chosen on the page; 1 s in the configuration" in out
    assert "(Europe/Berlin)" in out
    assert "unsent" not in out
    found = json.loads((await holdfast("buffer", "stat", "--config", site, "--json"))[1])
    assert (found["commit_s"], found["commit_interval_s"]) == (10, 1)


async def test_stat_bears_a_time_that_no_calendar_has(tmp_path: Path) -> None:
    site = await some_buffer(tmp_path)
    change(tmp_path / "buffer.db", "UPDATE block SET ts_max = 1 << 52")
    code, out, _ = await holdfast("buffer", "stat", "--config", site)
    assert code == 0
    assert f"{1 << 52} ms" in out


async def test_stat_reads_a_backup_or_an_older_releases_file_too(tmp_path: Path) -> None:
    await some_buffer(tmp_path)
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as db:
        db.executescript(resources.files("gateway.buffer").joinpath("schema/0001.sql").read_text())
        db.executescript("PRAGMA user_version = 1; INSERT INTO meta VALUES ('epoch', 'e'), ('head', '7');")
    code, out, _ = await holdfast("buffer", "stat", "--file", old, "--json")
    found = json.loads(out)
    assert (code, found["head"], found["schema"], found["unsent"]["records"]["count"]) == (0, 7, 1, 7)
    assert (await holdfast("buffer", "check", "--file", old))[0] == 0
    assert (await holdfast("export", "--file", old))[0] == 0
    assert (await holdfast("backup", tmp_path / "copy.db", "--config", site_yaml(tmp_path)))[0] == 0
    _, out, _ = await holdfast("buffer", "stat", "--file", tmp_path / "copy.db", "--json")
    assert json.loads(out)["head"] == 31


@pytest.mark.parametrize("command", [("buffer", "stat"), ("buffer", "check"), ("export",), ("backup", "copy.db")])
async def test_a_site_without_a_buffer_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    words = [tmp_path / word if word.endswith(".db") else word for word in command]
    code, out, err = await holdfast(*words, "--config", site_yaml(tmp_path))
    assert (code, out) == (1, "")
    assert "there is no such file" in err
    assert not list(tmp_path.glob("*.db*"))


async def test_a_buffer_that_one_may_not_read_is_told(tmp_path: Path) -> None:
    site = await some_buffer(tmp_path)
    (tmp_path / "buffer.db").chmod(0)
    under = ("setpriv", "--reuid=65534", "--clear-groups") if os.geteuid() == 0 else ()
    if under and not shutil.which("setpriv"):
        pytest.skip("setpriv is missing; the package util-linux brings it")
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    code, _, err = await holdfast("buffer", "stat", "--config", site, under=under)
    assert code == 1
    assert "run this as the user that the gateway runs as" in err


async def test_a_sound_buffer_is_good_also_while_a_gateway_writes_and_seals(tmp_path: Path) -> None:
    site = site_yaml(tmp_path)
    async with writer(tmp_path / "buffer.db") as said:
        for _ in range(3):
            await said.readline()
            assert await holdfast("buffer", "check", "--config", site) == (0, f"{tmp_path}/buffer.db: good\n", "")
            await said.read(1 << 20)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE block SET bytes = substr(bytes, 1, 40) WHERE count = 20", "in segment 0: not a sound pack"),
        ("UPDATE frame SET bytes = zeroblob(50) WHERE lo = 21", "frame 21: not a pack"),
        ("UPDATE frame SET lo = 19 WHERE lo = 21", "frame 19-26: overlaps what is before it, which ends at 21"),
        ("UPDATE frame SET lo = 90, hi = 95 WHERE lo = 21", "frame 90: holds a record that is not of 90-95"),
        ("UPDATE span SET lo = 99 WHERE hi IS NULL AND stream = 'records'", "span records 99-None: not within"),
        ("UPDATE block SET ts_max = ts_max + 1 WHERE count = 20", "its times or its number of records"),
        ("DELETE FROM layout WHERE id = (SELECT layout FROM block WHERE count = 20)", "of its records is not there"),
        ("UPDATE layout SET encoded = '{}'", "damaged"),
        ("UPDATE rollup_1m SET bytes = substr(bytes, 1, 20)", "rollup_1m of layout"),
        ("UPDATE block SET segment = 4 WHERE count = 20", "what it refers to in segment is not there"),
    ],
    ids=[
        "a block",
        "a frame",
        "overlap",
        "seqs",
        "a span",
        "times",
        "no layout",
        "a layout",
        "a roll-up",
        "no segment",
    ],
)
async def test_check_names_what_is_wrong_and_says_what_to_do(tmp_path: Path, statement: str, words: str) -> None:
    site = await some_buffer(tmp_path)
    change(tmp_path / "buffer.db", statement)
    before = (tmp_path / "buffer.db").read_bytes()
    code, out, err = await holdfast("buffer", "check", "--config", site)
    assert code == 1
    assert words in out
    assert "put a backup back" in err
    assert (tmp_path / "buffer.db").read_bytes() == before


async def test_check_names_the_table_whose_page_is_damaged(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        for start in range(0, 3000, 10):
            await fill(buffer, range(start, start + 10))
    with closing(sqlite3.connect(tmp_path / "buffer.db")) as db:
        (pack,) = db.execute("SELECT bytes FROM frame WHERE lo = 1500").fetchone()
    content = bytearray((tmp_path / "buffer.db").read_bytes())
    page = content.index(pack) // 1024 * 1024
    content[page : page + 1024] = os.urandom(1024)
    (tmp_path / "buffer.db").write_bytes(content)
    code, out, err = await holdfast("buffer", "check", "--config", site_yaml(tmp_path))
    assert code == 1
    assert "table frame: database disk image is malformed" in out
    assert "packs: cannot be read to the end" in out
    assert "put a backup back" in err


async def test_one_of_config_and_file_is_needed() -> None:
    code, _, err = await holdfast("buffer", "stat")
    assert code == 2
    assert "--config SITE.YAML, or --file" in err
