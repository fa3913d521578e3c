"""Damaged files out of the way; their names say when, and sort by age whatever the clock said.

The log goes first and the file last: a crash in between leaves a log without its file under the new
name, and the next start finishes what was begun.
"""

import contextlib
from pathlib import Path

from gateway.newfile import sync

KEPT = 2


def set_aside(path: Path, stamp: str) -> Path:
    """Rename `path` and its log; `stamp` is the time as YYYYMMDD-HHMMSS. Raises OSError."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    last = newest(path)
    if last is not None and aside <= last:  # a machine without a battery boots in 1970
        aside = last.with_name(f"{last.name}.1")
    log = _log(path)
    if log.exists():
        log.rename(_log(aside))
    with contextlib.suppress(FileNotFoundError):
        path.with_name(path.name + "-shm").unlink()
    path.rename(aside)
    sync(path.parent)
    return aside


def thin_out(path: Path) -> None:
    """Keep the newest two. Raises OSError."""
    for old in _all(path)[:-KEPT]:
        for file in (_log(old), old.with_name(old.name + "-shm"), old):  # a log alone would tell of a crash
            file.unlink(missing_ok=True)


def finish_interrupted(path: Path) -> None:
    """Rename the file whose log was renamed already. Raises OSError."""
    for log in path.parent.glob(f"{path.name}.damaged-*-wal"):
        aside = log.with_name(log.name.removesuffix("-wal"))
        if not aside.exists() and path.exists() and not _is_newer(path, log):
            path.rename(aside)
            sync(path.parent)


def _is_newer(path: Path, log: Path) -> bool:
    """Whether `path` was written after `log` was renamed: a good file, for somebody has deleted the damaged one."""
    return path.stat().st_mtime_ns > log.stat().st_ctime_ns


def newest(path: Path) -> Path | None:
    """The file that was set aside last."""
    return next(reversed(_all(path)), None)


def _all(path: Path) -> list[Path]:
    """By age."""
    files = path.parent.glob(f"{path.name}.damaged-*")
    return sorted(file for file in files if not file.name.endswith(("-wal", "-shm", "-journal")))


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
