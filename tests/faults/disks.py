"""Disks of a test's own, that fill up, turn read-only, lose power or give errors; each is gone when its block ends."""

import fcntl
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.needs import needs

EXT4_IOC_SHUTDOWN = 0x8004587D  # linux/ext4.h
WITHOUT_LOG_FLUSH = 2  # nothing more reaches the disk, not even the journal's last transaction: a power cut
PATIENCE_S = 30


def run(*command: str | Path) -> None:
    """Raises CalledProcessError, with what the program said, where it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, f"{command}: {done.stderr}")


def needs_mounts() -> None:
    """Skip the calling test where it may not mount."""
    needs("mount", "mount")
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount file systems")
    trial = ("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
    probe = subprocess.run(trial, check=False, capture_output=True)
    if probe.returncode:
        pytest.skip(f"mounting is not allowed here: {probe.stderr.decode().strip()}")


class Disk:
    """A mounted file system; `path` is where."""

    def __init__(self, path: Path, source: str | Path, *options: str) -> None:
        self.path = path
        self._mount = ["mount", *options, source, path]
        self.mounted = False

    def mount(self) -> None:
        run(*self._mount)
        self.mounted = True

    def unmount(self) -> None:
        """Every file on it must be closed."""
        run("umount", self.path)
        self.mounted = False

    def pull_out(self) -> None:
        """Take it away from under those who have files open on it, folder and all; see `put_back`."""
        run("umount", "--lazy", self.path)
        self.mounted = False
        self.path.rmdir()

    def put_back(self) -> None:
        """Mount it again, as soon as the last of those files is closed."""
        until = time.monotonic() + PATIENCE_S
        while subprocess.run(["losetup", "-j", self._mount[-2]], capture_output=True, check=True).stdout:
            assert time.monotonic() < until, "somebody still has a file open on the disk"
        self.path.mkdir()
        self.mount()

    def read_only(self) -> None:
        """As an administrator does it: no file on it may be open for writing."""
        run("mount", "-o", "remount,ro", self.path)

    def writable(self) -> None:
        """Undo `read_only`."""
        run("mount", "-o", "remount,rw", self.path)

    def find_error(self) -> None:
        """Read-only under its writers, until it is unmounted: as ext4 does it where it is damaged. ext4 only."""
        Path(f"/sys/fs/ext4/{self.device()}/trigger_fs_error").write_text("a test's own")

    def device(self) -> str:
        """The name of the loop device that it is on."""
        found = subprocess.run(["findmnt", "-no", "SOURCE", self.path], capture_output=True, text=True, check=True)
        return Path(found.stdout.strip()).name

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.path / "filler").open("ab", buffering=0) as filler:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while filler.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Give back what `fill` took."""
        (self.path / "filler").unlink()

    def cut_power(self) -> None:
        """Only what was flushed is there at the next mount; until then every access is an error. ext4 only.

        Unmount it when nothing has a file open on it any more, and mount it again.
        """
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        finally:
            os.close(folder)


@contextmanager
def ext4(folder: Path, megabytes: int = 16) -> Iterator[Disk]:
    """A disk with ext4, in a file in `folder`, mounted."""
    needs_mounts()
    needs("mke2fs", "e2fsprogs")
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    run("mke2fs", "-q", "-t", "ext4", "-m", "0", "-e", "remount-ro", image)
    with _mounted(Disk(folder / "disk", image, "-o", "loop")) as disk:
        yield disk
    image.unlink()


@contextmanager
def failing_ext4(folder: Path, megabytes: int = 16) -> Iterator[tuple[Disk, Disk]]:
    """A disk with ext4, and the disk under it: while that one is full, what is written anew is lost with an error.

    As on a card whose spare blocks are used up: fsync says so once, and the page cache keeps what the disk never got.
    """
    below = folder / "below"
    below.mkdir()
    with tmpfs(below, (megabytes + 4) << 10) as under:
        image = under.path / "disk.img"
        image.write_bytes(bytes(megabytes << 20))
        run(
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-b",
            "4096",
            "-m",
            "0",
            "-E",
            "nodiscard,lazy_itable_init=1,lazy_journal_init=1",
            image,
        )
        with _mounted(Disk(folder / "disk", image, "-o", "loop,noinit_itable")) as disk:
            # A loop device takes a request that was written in part for done: no request may have two parts.
            Path(f"/sys/block/{disk.device()}/queue/max_sectors_kb").write_text("4")
            run("fstrim", disk.path)  # only what is free gets no place of its own on the disk below
            yield disk, under
    below.rmdir()


@contextmanager
def tmpfs(folder: Path, kilobytes: int = 4096) -> Iterator[Disk]:
    """A disk in memory, of that size, mounted; unmounted, it is empty."""
    needs_mounts()
    with _mounted(Disk(folder / "disk", "none", "-t", "tmpfs", "-o", f"size={kilobytes}k")) as disk:
        yield disk


@contextmanager
def _mounted(disk: Disk) -> Iterator[Disk]:
    disk.path.mkdir()
    disk.mount()
    try:
        yield disk
    finally:
        if disk.mounted:
            # Lazy: a test that failed may have left a file open, and its mount must not outlive it.
            subprocess.run(["umount", "--lazy", disk.path], check=True, timeout=PATIENCE_S)
        disk.path.rmdir()
