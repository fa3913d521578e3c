"""A machine whose power is cut: a QEMU guest that is killed, with a Debian kernel, this Python and this project.

It needs no acceleration and no network of its own; the kernel comes as a package, by apt-get.
"""

import subprocess
import sys
import sysconfig
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy, copytree, ignore_patterns, which

from tests.faults.disks import run

ROOT = Path(__file__).parents[2]
NEWEST_KERNEL = "linux-image-cloud-amd64"
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
PYTHON = "/python"
LEFT_OUT = ignore_patterns("site-packages", "test", "tests", "idlelib", "ensurepip", "config-*", "__pycache__", "*.a")
FIRST = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
for module in {modules}; do /bin/busybox insmod /$module.ko || echo no $module; done
/bin/busybox mount -t ext4 /dev/vda /disk
exec /bin/busybox switch_root /disk /start
"""
START = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t proc none /proc
cd /holdfast
PYTHONHOME={home} PYTHONPATH=/holdfast:/packages exec {python} -m tests.faults.writer < /order > /dev/console
"""


def build(folder: Path) -> None:
    """Make `disk.img`, `kernel` and `first.img` in `folder`. Raises CalledProcessError."""
    _build_kernel(folder)
    root = folder / "root"
    for name in ("dev", "proc", "tmp", "bin", "site"):
        (root / name).mkdir(parents=True)
    _busybox(root / "bin")
    _copy_python(root)
    for part in ("gateway", "drivers", "tests", "config"):
        copytree(ROOT / part, root / "holdfast" / part, ignore=ignore_patterns("__pycache__"))
    (root / "start").write_text(START.format(home=sys.base_prefix, python=PYTHON))
    (root / "start").chmod(0o755)
    run("mke2fs", "-q", "-t", "ext4", "-d", root, folder / "disk.img", "600M")


def _build_kernel(folder: Path) -> None:
    found = subprocess.run(("apt-cache", "depends", NEWEST_KERNEL), capture_output=True, text=True, check=True)
    package = found.stdout.partition("Depends: ")[2].split()[0]
    subprocess.run(("apt-get", "download", "-qq", package), cwd=folder, check=True, capture_output=True)
    run("dpkg-deb", "-x", next(folder.glob("linux-image*.deb")), folder / "package")
    copy(next(folder.glob("package/boot/vmlinuz-*")), folder / "kernel")
    first = folder / "first"
    for name in ("bin", "dev", "disk"):
        (first / name).mkdir(parents=True)
    busybox = _busybox(first / "bin")
    for module in MODULES:
        copy(next(folder.glob(f"package/lib/modules/*/kernel/**/{module}.ko")), first)
    (first / "init").write_text(FIRST.format(modules=" ".join(MODULES)))
    (first / "init").chmod(0o755)
    names = "\n".join(str(file.relative_to(first)) for file in first.rglob("*"))
    with (folder / "first.img").open("wb") as archive:
        command = (busybox, "cpio", "-o", "-H", "newc")
        subprocess.run(command, cwd=first, input=names.encode(), stdout=archive, check=True, stderr=subprocess.DEVNULL)


def _busybox(folder: Path) -> Path:
    found = which("busybox")
    assert found
    return Path(copy(found, folder))


def _copy_python(root: Path) -> None:
    """The interpreter, its library, what the writer imports from elsewhere, and the C libraries of all that."""
    program = Path(sys.executable).resolve()
    copy(program, root / PYTHON.lstrip("/"))
    library = Path(sysconfig.get_path("stdlib"))
    copytree(library, _inside(root, library), ignore=LEFT_OUT)
    script = (
        "import sys, tests.faults.writer; print(*(getattr(m, '__file__', '') for m in sys.modules.values()), sep='\\n')"
    )
    told = subprocess.run((sys.executable, "-c", script), cwd=ROOT, capture_output=True, text=True, check=True)
    packages = Path(sysconfig.get_path("purelib"))
    used = {
        Path(line).relative_to(packages).parts[0] for line in told.stdout.split() if line.startswith(f"{packages}/")
    }
    for name in used:
        target = root / "packages" / name
        target.parent.mkdir(exist_ok=True)
        (copytree if (packages / name).is_dir() else copy)(packages / name, target)
    binaries = [program, *library.glob("lib-dynload/*.so"), *(root / "packages").rglob("*.so")]
    needed = subprocess.run(("ldd", *map(str, binaries)), capture_output=True, text=True, check=False).stdout
    for found in {word for word in needed.split() if word.startswith("/") and not word.endswith(":")}:
        _inside(root, Path(found)).parent.mkdir(parents=True, exist_ok=True)
        copy(found, _inside(root, Path(found)))
    zones = _inside(root, Path(zoneinfo.TZPATH[0]))
    zones.mkdir(parents=True)
    copy(Path(zoneinfo.TZPATH[0]) / "UTC", zones)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The guest from its start on; it is killed with the block."""
    command = (
        "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults", "-no-reboot", "-nographic",
        "-serial", "stdio", "-kernel", "kernel", "-initrd", "first.img", "-append", "console=ttyS0 quiet panic=-1",
        "-drive", "file=disk.img,if=virtio,format=raw,cache=writeback",
    )  # fmt: skip
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, stdin=nothing, stdout=pipe, stderr=nothing) as machine:
        try:
            yield machine
        finally:
            machine.kill()


def lines(machine: subprocess.Popen[bytes]) -> Iterator[str]:
    """What the guest says, until it is killed; a line that was cut off is left out."""
    assert machine.stdout is not None
    return (line.decode(errors="replace").strip() for line in machine.stdout if line.endswith(b"\n"))
