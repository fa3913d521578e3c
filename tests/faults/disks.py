"""Disks of a test's own, that fill up, turn read-only, lose power or give errors; each is gone when its block ends."""

import fcntl
import os
import struct
import subprocess
import sys
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

    def read_only(self) -> None:
        """As an administrator does it: no file on it may be open for writing."""
        run("mount", "-o", "remount,ro", self.path)

    def writable(self) -> None:
        """Undo `read_only`."""
        run("mount", "-o", "remount,rw", self.path)

    def find_error(self) -> None:
        """Read-only under its writers, until it is unmounted: as ext4 does it where it is damaged. ext4 only."""
        device = subprocess.run(["findmnt", "-no", "SOURCE", self.path], capture_output=True, text=True, check=True)
        name = Path(device.stdout.strip()).name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("a test's own")

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
