"""Backups that are made under a running gateway, and put back."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.core.model import Event
from gateway.filecopy import ASIDES
from tests.buffer.onfile import HUB, content, fill, holdfast, opened, site_yaml, writer
from tests.needs import lacks
from tests.sync.parts import site, synced, syncing
from tests.values import METER, power


def pad(buffer: Path, megabytes: int) -> None:
    """Make the file so large that a backup takes many steps."""
    with closing(sqlite3.connect(buffer)) as db, db:
        row = ("meter", 0, "padding", os.urandom(1 << 20))
        db.executemany("INSERT INTO doubtful (device, received, reason, body) VALUES (?, ?, ?, ?)", megabytes * [row])


async def backed_up(folder: Path, times: range, name: str = "copy.db") -> Path:
    """A site whose buffer has records of `times`, and a backup of it."""
    file = folder / name
    async with opened(folder / "buffer.db") as buffer:
        await fill(buffer, times)
    assert (await holdfast("backup", file, "--config", site_yaml(folder)))[0] == 0
    return file


def epoch(buffer: Path) -> str:
    with closing(sqlite3.connect(buffer)) as db:
        return str(db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])


def names(folder: Path) -> set[str]:
    """What is there, but for what stands beside an open buffer."""
    return {file.name for file in folder.iterdir()} - {"site.yaml", *(f"buffer.db{end}" for end in ASIDES[1:])}


@pytest.mark.P1
async def test_a_backup_under_a_busy_writer_is_what_was_acknowledged_at_one_moment(tmp_path: Path) -> None:
    buffer, file = tmp_path / "buffer.db", tmp_path / "copy.db"
    async with opened(buffer) as before:
        await fill(before, range(5000), seal=True)
    pad(buffer, 60)
    async with writer(buffer) as said:
        first = int(await said.readline())
        code, out, err = await holdfast("backup", file, "--config", site_yaml(tmp_path))
        assert (code, err) == (0, "")
        last = int((await said.read(1 << 20)).split(b"\n")[-2])
    taken = int(out.split()[2].replace(",", ""))
    assert first <= taken <= last
    assert last - first > 20, "the writer's commits went on meanwhile"
    assert [record.ts for record in await content(file)] == list(range(taken))
    assert len(await content(buffer)) >= last


async def test_a_backup_is_one_file_that_opens_on_a_read_only_disk(tmp_path: Path) -> None:
    file = await backed_up(tmp_path, range(100))
    assert names(tmp_path) == {"buffer.db", "copy.db"}
    assert file.read_bytes()[18:20] == b"\1\1", "SQLite's mark of a file without a log beside it"


async def test_a_backup_overwrites_only_when_told_to(tmp_path: Path) -> None:
    file = await backed_up(tmp_path, range(100))
    before = file.read_bytes()
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(100, 200))
    usual = ("backup", file, "--config", tmp_path / "site.yaml")
    code, _, err = await holdfast(*usual)
    assert (code, file.read_bytes()) == (2, before)
    assert "there is such a file already" in err
    assert (await holdfast(*usual, "--force"))[0] == 0
    assert len(await content(file)) == 200


@pytest.mark.parametrize("own", ["buffer.db", "buffer.db-wal", "buffer.db.lock"])
async def test_a_backup_never_takes_the_place_of_the_buffer(tmp_path: Path, own: str) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(100))
    config = site_yaml(tmp_path)
    code, _, err = await holdfast("backup", tmp_path / own, "--config", config, "--force")
    assert code == 2
    assert "the buffer's own file" in err
    assert len(await content(tmp_path / "buffer.db")) == 100


async def test_a_damaged_buffer_makes_no_backup(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(5000), seal=True)
    with closing(sqlite3.connect(tmp_path / "buffer.db")) as db, db:
        db.execute("UPDATE block SET bytes = substr(bytes, 1, 30)")
    code, _, err = await holdfast("backup", tmp_path / "copy.db", "--config", site_yaml(tmp_path))
    assert code == 1
    assert "not sound: the block of layout" in err
    assert names(tmp_path) == {"buffer.db"}


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", folder], check=False)
    if mounted.returncode != 0:
        lacks("the right to mount", "sudo")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


async def test_a_full_disk_leaves_no_half_backup(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(100))
    pad(tmp_path / "buffer.db", 4)
    with small_disk(tmp_path / "disk", 2048) as disk:
        code, _, err = await holdfast("backup", disk / "copy.db", "--config", site_yaml(tmp_path))
        assert code == 1
        assert "MB are needed, 2.1 MB are free" in err
        assert not list(disk.iterdir())


async def test_a_disk_that_fails_in_the_middle_leaves_no_half_backup(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as buffer:
        await fill(buffer, range(100))
    pad(tmp_path / "buffer.db", 4)
    limited = ("prlimit", "--fsize=2000000")  # what is written beyond fails
    code, _, err = await holdfast("backup", tmp_path / "copy.db", "--config", site_yaml(tmp_path), under=limited)
    assert code == 1
    assert "disk I/O error" in err
    assert names(tmp_path) == {"buffer.db"}


@pytest.mark.P2
async def test_after_a_restore_the_hub_ends_with_each_reading_once(tmp_path: Path) -> None:
    buffer_file, config = tmp_path / "buffer.db", site_yaml(tmp_path, HUB)
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer, range(1000), seal=True)
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        await fill(buffer, range(1000, 1500))  # unsent when the backup is made
        assert (await holdfast("backup", tmp_path / "copy.db", "--config", config))[0] == 0
        before = epoch(buffer_file)
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
            await fill(buffer, range(1500, 1800), seal=True)
            await synced(engine, buffer)
        await fill(buffer, range(1800, 1900))  # the hub never gets these
        await buffer.close()
        code, out, err = await holdfast("restore", tmp_path / "copy.db", "--config", config)
        assert (code, err) == (0, "")
        assert "1,500 records taken, 500 to be sent" in out
        assert "400 records, newer than the backup, are only there; the hub lacks 100 of them" in out
        assert epoch(buffer_file) != before
        async with opened(buffer_file) as restored:
            assert restored.head == 1500
            await fill(restored, range(5000, 5300))  # their seqs are those of other readings in the hub
            async with syncing(restored, hub) as engine:
                await synced(engine, restored)
        assert await hub.times() == [*range(1800), *range(5000, 5300)]
        (aside,) = tmp_path.glob("buffer.db.before-restore-*")
        assert [record.ts for record in await content(aside)] == list(range(1900))


async def test_restore_refuses_while_a_gateway_has_the_file_open(tmp_path: Path) -> None:
    file = await backed_up(tmp_path, range(100))
    async with opened(tmp_path / "buffer.db") as buffer:
        code, _, err = await holdfast("restore", file, "--config", tmp_path / "site.yaml")
        assert code == 1
        assert "in use by another Holdfast" in err
        await fill(buffer, range(100, 200))
    assert len(await content(tmp_path / "buffer.db")) == 200
    assert names(tmp_path) == {"buffer.db", "copy.db"}


def _truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b"\x28\xb5\x2f\xfd") + 30] ^= 1  # within a pack, which begins with zstd's mark
    file.write_bytes(content)


def _of_another_kind(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE song (title)")


def _newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("PRAGMA user_version = 99")
        db.execute("INSERT INTO meta VALUES ('readable_by', '99')")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.write_bytes(b""), "not a buffer's file"),
        (lambda file: file.write_text("a,b\n"), "not a buffer's file"),
        (_truncate, "damaged"),
        (_flip, "not sound"),
        (_of_another_kind, "a database, but not a buffer's"),
        (_newer, "written by a newer release (schema 99"),
    ],
    ids=["empty", "text", "truncated", "a bit is wrong", "another database", "newer"],
)
async def test_restore_refuses_what_is_no_good_backup_and_leaves_the_buffer(
    tmp_path: Path, spoil: object, words: str
) -> None:
    file = await backed_up(tmp_path, range(5000))
    assert callable(spoil)
    spoil(file)
    code, _, err = await holdfast("restore", file, "--config", tmp_path / "site.yaml")
    assert code == 1
    assert words in err
    assert len(await content(tmp_path / "buffer.db")) == 5000
    assert names(tmp_path) == {"buffer.db", "copy.db"}


async def test_restore_onto_a_new_card_needs_no_buffer_there(tmp_path: Path) -> None:
    file = await backed_up(tmp_path, range(100))
    (tmp_path / "new").mkdir()
    code, out, _ = await holdfast("restore", file, "--config", site_yaml(tmp_path / "new"))
    assert (code, out.count("\n")) == (0, 1)
    assert len(await content(tmp_path / "new/buffer.db")) == 100


async def test_restore_over_another_buffer_says_that_all_its_records_are_only_there(tmp_path: Path) -> None:
    file = await backed_up(tmp_path, range(100))
    (tmp_path / "new").mkdir()
    async with opened(tmp_path / "new/buffer.db") as buffer:
        await fill(buffer, range(30))
    code, out, _ = await holdfast("restore", file, "--config", site_yaml(tmp_path / "new", HUB))
    assert code == 0
    assert "30 records, of another buffer than the backup, are only there; the hub lacks 30 of them" in out


async def test_a_restore_on_a_site_without_a_hub_does_not_speak_of_sending(tmp_path: Path) -> None:
    file = await backed_up(tmp_path, range(100))
    (tmp_path / "new").mkdir()
    async with opened(tmp_path / "new/buffer.db") as buffer:
        await fill(buffer, range(30))
    _, out, _ = await holdfast("restore", file, "--config", site_yaml(tmp_path / "new"))
    assert "restored; 100 records taken\n" in out
    assert "30 records, of another buffer than the backup, are only there\n" in out


async def test_a_damaged_buffer_is_set_aside_with_its_log(tmp_path: Path) -> None:
    file = await backed_up(tmp_path, range(100))
    (tmp_path / "buffer.db").write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    (tmp_path / "buffer.db-wal").write_bytes(b"log")
    code, out, _ = await holdfast("restore", file, "--config", tmp_path / "site.yaml")
    assert code == 0
    assert "it cannot be read" in out
    assert len(await content(tmp_path / "buffer.db")) == 100
    assert [one.read_bytes() for one in tmp_path.glob("buffer.db.before-restore-*-wal")] == [b"log"]


async def test_a_restored_buffer_belongs_to_who_owned_the_one_before(tmp_path: Path) -> None:
    file = await backed_up(tmp_path, range(100))
    if os.geteuid() != 0:
        lacks("the right to give files away", "sudo")
    os.chown(tmp_path / "buffer.db", 1234, 1234)
    (tmp_path / "buffer.db").chmod(0o640)
    assert (await holdfast("restore", file, "--config", tmp_path / "site.yaml"))[0] == 0
    found = (tmp_path / "buffer.db").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 1234, 0o640)


async def test_events_of_a_restored_buffer_reach_the_hub(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        buffer.put_event(Event(1, "gateway_started"))
        await buffer.flushed()
        assert (await holdfast("backup", tmp_path / "copy.db", "--config", site_yaml(tmp_path)))[0] == 0
        buffer.put_event(Event(2, "device_offline", "meter"))
        async with syncing(buffer, hub) as engine:
            await buffer.flushed()
            await fill(buffer, range(3))
            await synced(engine, buffer)
        await buffer.close()
        assert (await holdfast("restore", tmp_path / "copy.db", "--config", tmp_path / "site.yaml"))[0] == 0
        async with opened(tmp_path / "buffer.db") as restored:
            restored.put_event(Event(3, "gateway_started"))
            restored.put(METER, [power(9)])
            await restored.flushed()
            async with syncing(restored, hub) as engine:
                await synced(engine, restored)
                while not any(event.ts == 3 for event in await hub.store.events("node", 10)):
                    pass
