"""A private ext4 on a loop device for each subject: what the kernel wrote to it is that subject's alone."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

IMAGE_BYTES = 1024 * 1024 * 1024  # sparse
SECTOR_BYTES = 512  # of /sys/block/*/stat, whatever the device's own is
TOOLS = ("losetup", "mke2fs", "mount", "umount")


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder, and the block device under it where there is one of its own."""

    folder: Path
    device: str = ""  # loop0
    missing: str = ""  # why there is no device

    def bytes_written(self) -> int | None:
        """What has reached the device so far, everything dirty included; None where there is no device."""
        if not self.device:
            return None
        _run("sync", "-f", str(self.folder))
        sectors = Path(f"/sys/block/{self.device}/stat").read_text().split()[6]
        return int(sectors) * SECTOR_BYTES


@contextmanager
def private_disk(state: Path, name: str) -> Iterator[Disk]:
    """A disk under `state`, unmounted and detached at the end; a plain folder where that is not possible."""
    folder = state / f"{name}.mnt"
    folder.mkdir()
    if os.geteuid() != 0:
        yield Disk(folder, missing="needs root")
        return
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        yield Disk(folder, missing=f"needs {', '.join(lacking)}")
        return
    try:
        device = _attached(state / f"{name}.img")
    except subprocess.CalledProcessError as error:
        yield Disk(folder, missing=f"no loop device: {error.stderr.strip()}")
        return
    try:
        _run("mount", device, str(folder))
        try:
            yield Disk(folder, device=Path(device).name)
        finally:
            _unmount(folder)
    finally:
        _run("losetup", "--detach", device)


def _attached(image: Path) -> str:
    """Make an ext4 in `image` and return its loop device. Nothing is left for the kernel to initialise later."""
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    _run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    return _run("losetup", "--find", "--show", str(image)).strip()


def _unmount(folder: Path) -> None:
    for _ in range(20):  # a process that has just ended may still be letting go
        if subprocess.run(["umount", folder], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    _run("umount", "--lazy", str(folder))


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
