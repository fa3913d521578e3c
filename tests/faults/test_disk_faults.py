"""Whatever the disk does, polls and page go on, health says what is wrong, and afterwards nothing is missing."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.backup import backup
from gateway.buffer.buffer import Buffer
from gateway.core.errors import StorageError
from gateway.core.model import Event
from tests.buffer.onfile import holdfast
from tests.faults.disks import ext4, failing_ext4, tmpfs
from tests.faults.gateways import Site, gateway, kept, nothing_is_missing, run_to_its_end
from tests.needs import needs
from tests.stored import everything
from tests.values import METER, power


def fails(state: dict[str, Any]) -> bool:
    return bool(state["buffer"]["error"]) and state["buffer"]["pending"] > 3


def works(state: dict[str, Any]) -> bool:
    return not state["buffer"]["error"] and state["buffer"]["head"] > 0


def fails_as_replaced(state: dict[str, Any]) -> bool:
    return "removed or replaced" in state["buffer"]["error"]


async def goes_on_in_memory(site: Site, why: str) -> None:
    """The disk takes nothing: it is said why and what to do, and the polls go on."""
    state = await site.until(fails)
    assert why in state["buffer"]["error"], state["buffer"]["error"]
    await site.polls_go_on()
    assert "wait in memory" in (await site.get("/healthz"))["problems"][0]
    async with site.http.get(site.url) as page:
        assert "wait in memory" in await page.text()


async def recovers(site: Site) -> list[Event]:
    """By itself: nothing is missing, and it is said for how long the disk took nothing."""
    await site.until(works)
    await site.polls_go_on()
    assert (await site.get("/healthz"))["problems"] == []
    events = await nothing_is_missing(site)
    kinds = [event.kind for event in events]
    assert kinds.count("storage_failed") == kinds.count("storage_recovered") == 1, kinds
    return events


@pytest.mark.P1
async def test_a_full_disk(tmp_path: Path) -> None:
    with tmpfs(tmp_path) as disk:
        async with gateway(tmp_path, disk.path / "buffer.db") as site:
            await site.until(works)
            (disk.path / "buffer.db.reserve").unlink(missing_ok=True)
            disk.fill()
            await goes_on_in_memory(site, "the disk is full")
            assert (await site.get("/api/v1/history?device=counter&key=answers"))["rows"], "what was stored can be read"
            disk.free()
            await recovers(site)


@pytest.mark.P1
async def test_a_disk_that_is_full_at_the_start(tmp_path: Path) -> None:
    with ext4(tmp_path) as disk:
        disk.fill()
        async with gateway(tmp_path, disk.path / "buffer.db") as site:
            await goes_on_in_memory(site, "the disk is full")
            async with site.http.get(site.url + "/api/v1/history?device=counter&key=answers") as answer:
                assert answer.status == 503
            disk.free()
            await recovers(site)


@pytest.mark.P1
async def test_a_file_system_that_is_read_only_at_the_start(tmp_path: Path) -> None:
    with ext4(tmp_path) as disk:
        async with gateway(tmp_path, disk.path / "buffer.db") as site:
            await site.until(works)
            await nothing_is_missing(site)
        disk.read_only()
        async with gateway(tmp_path, disk.path / "buffer.db") as site:
            await goes_on_in_memory(site, "read-only")
            assert (await site.state())["buffer"]["head"] > 0, "what was stored can be read"
            disk.writable()
            await site.until(works)
            assert await site.stop() == 0


@pytest.mark.P1
async def test_what_is_seen_on_a_read_only_disk_is_not_taken_for_kept(tmp_path: Path) -> None:
    """After a failed flush the system shows what may be on no disk."""
    with ext4(tmp_path) as disk:
        buffer = await Buffer.open(disk.path / "buffer.db")
        buffer.put(METER, [power(1), power(2)])
        await buffer.flushed()
        await buffer._database.close()
        disk.read_only()
        buffer.committed.reached -= 2  # as where COMMIT failed, and the log shows it
        buffer._taking._records = [power(1), power(2)]
        buffer._taking._unsure = buffer._taking._records[0]
        with pytest.raises(StorageError, match="read-only"):
            await buffer.heal()
        assert (buffer.state().pending, buffer.head) == (2, 0)
        with pytest.raises(StorageError, match="read-only"):
            await buffer.flushed()
        disk.writable()
        await buffer.heal()
        await buffer.flushed()
        assert [record.ts for record in await everything(buffer)] == [1, 2]
        await buffer.close()


@pytest.mark.P1
async def test_a_file_system_that_turns_read_only_until_it_is_mounted_anew(tmp_path: Path) -> None:
    with ext4(tmp_path) as disk:
        async with gateway(tmp_path, disk.path / "buffer.db") as site:
            await site.until(works)
            disk.find_error()
            await goes_on_in_memory(site, "read-only")
            disk.pull_out()
            await asyncio.to_thread(disk.put_back)
            await recovers(site)


@pytest.mark.P1
async def test_a_file_that_is_removed_while_it_is_in_use_is_missed_and_made_anew(tmp_path: Path) -> None:
    async with gateway(tmp_path, tmp_path / "buffer.db") as site:
        await site.until(works)
        for file in tmp_path.glob("buffer.db*"):
            file.unlink()
        await site.until(fails_as_replaced)
        await site.until(works)
        await site.polls_go_on()
        assert (tmp_path / "buffer.db").exists()
        assert (await site.get("/healthz"))["problems"] == []


@pytest.mark.P1
async def test_a_backup_that_is_moved_over_the_file_in_use_is_taken_up(tmp_path: Path) -> None:
    async with gateway(tmp_path, tmp_path / "buffer.db") as site:
        await site.until(works)
        await asyncio.to_thread(backup, site.buffer, tmp_path / "copy.db")
        await site.until(lambda state: state["buffer"]["head"] > 20)
        (tmp_path / "copy.db").rename(site.buffer)
        await site.until(fails_as_replaced)
        await site.until(works)
        await site.polls_go_on()
        await site.stop()
    counts, events = await kept(site.buffer)
    assert len(counts) == len(set(counts)) > 3, "what waited is there once"
    assert "storage_failed" in {event.kind for event in events}
    assert "good" in (await holdfast("buffer", "check", "--file", site.buffer))[1]


@pytest.mark.P1
async def test_a_disk_that_is_mounted_only_later(tmp_path: Path) -> None:
    async with gateway(tmp_path, tmp_path / "usb" / "buffer.db") as site:
        await goes_on_in_memory(site, "its folder is not there")
        with ext4(tmp_path) as disk:
            (tmp_path / "usb").symlink_to(disk.path)
            await recovers(site)


@pytest.mark.P1
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
async def test_a_disk_that_gives_errors(tmp_path: Path, call: str) -> None:
    needs("strace", "strace")
    async with gateway(tmp_path, tmp_path / "buffer.db") as site:
        await site.until(works)
        with failing(site, call):
            await goes_on_in_memory(site, "disk I/O error")
        await recovers(site)


@pytest.mark.P1
async def test_what_is_acknowledged_after_a_failed_fsync_survives_a_power_cut(tmp_path: Path) -> None:
    """The page cache has what the disk never got: neither the same process nor a new one may build on that."""
    with failing_ext4(tmp_path) as (disk, under):
        async with gateway(tmp_path, disk.path / "buffer.db") as site:
            await site.until(works)
            under.fill()
            await goes_on_in_memory(site, "disk I/O error")
            await kill(site)
        under.free()
        for _ in range(2):
            async with gateway(tmp_path, disk.path / "buffer.db") as site:
                await site.until(works)
                await site.polls_go_on()
                under.fill()
                await site.until(fails)
                under.free()
                await site.until(works)
                await site.polls_go_on()
                head = (await site.state())["buffer"]["head"]
                disk.cut_power()
                await kill(site)
            disk.unmount()
            disk.mount()
            async with gateway(tmp_path, disk.path / "buffer.db") as site:
                assert (await site.state())["buffer"]["head"] >= head
                await kill(site)


async def kill(site: Site) -> None:
    site.process.send_signal(signal.SIGKILL)
    await site.process.wait()


async def test_a_second_gateway_on_the_file_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    async with gateway(tmp_path, tmp_path / "buffer.db") as site:
        code, said = await run_to_its_end(tmp_path)
        assert code == 1
        assert f"in use by another Holdfast, process {site.process.pid}" in said
        assert "stop that one first" in said
        await site.polls_go_on()


@contextmanager
def failing(site: Site, call: str) -> Iterator[None]:
    """Every such call of the gateway on its buffer's log fails with EIO."""
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-p", str(site.process.pid), "-P", f"{site.buffer}-wal"]
    tracer = subprocess.Popen([*command, "-e", f"trace={call}", "-e", f"inject={call}:error=EIO"])
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
