"""A hub's store as one file, and back: of SQLite a copy of its file, of PostgreSQL what its own pg_dump makes.

A hub that was restored from an old backup gets from its nodes what it lacks, as far as they still have it: they compare
every week. People, claim codes and revoked nodes are as they were when the backup was made.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import datetime
from importlib import resources
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from gateway.bar import bar
from gateway.bufferfile import FIRST_BYTES, connect, snapshot, trouble
from gateway.core.errors import ConfigError, RefusedFileError, StorageError
from gateway.filecopy import ASIDES, copy_file
from gateway.newfile import new_file
from gateway.restore import alone, give_to_owner
from sync.hub.store.opening import POSTGRES

DUMP = b"PGDMP"  # what pg_dump's own format begins with
PROGRAMS_HINT = "install it: apt install postgresql-client"
TABLES = {"node", "series", "record", "event", "audit"}
HELD = "SELECT count(*), coalesce(sum(records), 0) FROM node"
HUBS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'holdfast hub'"
HAS_TABLES = "SELECT count(*) FROM pg_class WHERE relname IN ('node', 'record') AND relkind IN ('r', 'p')"


def backup(store: str, folder: Path, file: Path, *, force: bool = False) -> str:
    """Write what `store` of hub.yaml holds now into `file`, the hub may run; what it holds, in words.

    Raises HoldfastError; then there is no `file`.
    """
    if not store.startswith(POSTGRES):
        return _backup_file(folder / store, file, force=force)
    with new_file(file, force=force) as part:
        _make_private(part)
        _run("pg_dump", store, "--format=custom", f"--file={part}")
        return f"{part.stat().st_size / 1e6:,.1f} MB"


def restore(store: str, folder: Path, file: Path, now: datetime) -> str:
    """Put `file` in the place of what `store` holds, the hub must not run; what was there before, in words.

    Raises HoldfastError; then the store is as it was.
    """
    with file.open("rb") as opened:
        first = opened.read(len(FIRST_BYTES))
    is_dump = first.startswith(DUMP)
    if not is_dump and first != FIRST_BYTES:
        raise ConfigError(f"{file}: no backup of a hub", hint="backups are made with `holdfast hub backup`")
    if is_dump != store.startswith(POSTGRES):
        made, is_now = ("PostgreSQL", "an SQLite file") if is_dump else ("SQLite", "PostgreSQL")
        words = f"{file}: a backup of a store on {made}, but hub.yaml's store is {is_now}"
        raise ConfigError(words, hint="name a store of the same kind in hub.yaml")
    if is_dump:
        return _restore_database(store, file)
    return _restore_file(folder / store, file, now)


def _backup_file(path: Path, file: Path, *, force: bool) -> str:
    _refuse_own(path, file)
    with new_file(file, force=force) as part:
        with looking_at(path) as source, snapshot(source):
            before = source.execute(HELD).fetchone()
            _make_private(part)
            copy_file(source, path, part)
        found = _verified(part)
        if found != before:
            raise StorageError(f"the copy is not what was copied: {found} instead of {before}", hint="try again")
        return f"{found[0]:,} nodes with {found[1]:,} records, {part.stat().st_size / 1e6:,.1f} MB"


def _make_private(part: Path) -> None:
    """Before anything is in it."""
    os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))


def _restore_file(path: Path, file: Path, now: datetime) -> str:
    _refuse_own(path, file)
    with alone(path), new_file(path, force=True) as part:
        with looking_at(file) as source, snapshot(source):
            _make_private(part)
            copy_file(source, file, part)
        _verified(part)
        give_to_owner(part, path if path.exists() else path.parent)
        if not path.exists():
            return "there was no store before"
        aside = path.with_name(f"{path.name}.before-restore-{now:%Y%m%d-%H%M%S}")
        with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(path, "rw")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for end in ("-wal", "-shm"):  # they are still there where it is damaged, and must not meet another file
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
        path.rename(aside)
        return f"what was there before is {aside}"


def _refuse_own(path: Path, file: Path) -> None:
    if file.resolve() in [path.with_name(path.name + end).resolve() for end in ASIDES]:
        raise ConfigError(f"{file}: that is the hub's own file", hint="name another")


def known_schema() -> int:
    """The newest schema of a hub's file that this release knows."""
    return sum(entry.name.endswith(".sql") for entry in resources.files("sync.hub").joinpath("schema").iterdir())


@contextlib.contextmanager
def looking_at(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads a hub's store. Raises StorageError."""
    if not path.is_file():
        raise StorageError(f"{path}: there is no such file", hint="has this hub run yet?")
    try:
        with contextlib.closing(connect(path, "ro")) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables >= TABLES:
                hint = "backups are made with `holdfast hub backup`"
                raise StorageError(f"{path}: a database, but not a hub's", hint=hint)
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > (known := known_schema()):
                words = f"{path}: written by a newer release (schema {version}, this one knows {known})"
                raise RefusedFileError(words, hint="install that release")
            yield db
    except sqlite3.Error as error:
        raise trouble(path, error) from error


def _verified(part: Path) -> tuple[int, int]:
    """All of the file is read; nodes and records. Raises StorageError where it is not sound."""
    with looking_at(part) as db, bar("verifying the copy") as step:
        step(0, 1)
        for (problem,) in db.execute("PRAGMA integrity_check(1)"):
            if problem != "ok":
                raise StorageError(f"the copy is not sound: {problem}", hint="look at the store: `holdfast hub check`")
        step(1, 1)
        found: tuple[int, int] = db.execute(HELD).fetchone()
        return found


def _restore_database(store: str, file: Path) -> str:
    found = _run(
        "psql", store, "--tuples-only", "--no-align", "--quiet", f"--command={HUBS}", f"--command={HAS_TABLES}"
    )
    hubs, tables = map(int, found.split())
    if hubs:
        raise RefusedFileError("store: a hub is connected to this database", hint="stop every hub that uses it first")
    if tables:
        hint = "make an empty one (createdb), name it in hub.yaml, store, and restore into that"
        raise RefusedFileError("store: this database holds a hub's data already, which nothing here deletes", hint=hint)
    _run("pg_restore", store, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(file))
    return "the database was empty before"


def _run(program: str, store: str, *arguments: str) -> str:
    """What it writes. The password goes by the environment: everybody may see a command line. Raises StorageError."""
    if shutil.which(program) is None:
        raise StorageError(f"{program} is not installed, and PostgreSQL's stores need it", hint=PROGRAMS_HINT)
    parts = urlsplit(store)
    query = dict(parse_qsl(parts.query))
    password = query.pop("password", unquote(parts.password or ""))
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}@{host}" if user else host
    address = urlunsplit((parts.scheme, netloc, parts.path, urlencode(query), ""))
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    words = [program, f"--dbname={address}", "--no-password", *arguments]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise StorageError(f"{program}: {lines[0]}", hint="check hub.yaml, store, and that its server can be reached")
    return done.stdout
