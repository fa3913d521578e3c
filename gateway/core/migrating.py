"""Brings a store's file to the newest schema that this release knows.

Migrations only add, so a release can also use the file of a newer one; where that is not so, the
newer one's migration sets the meta key `readable_by` to the least schema number that can.
"""

from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import aiosqlite

from gateway.core.errors import RefusedFileError

READABLE_BY = "SELECT value + 0 FROM meta WHERE key = 'readable_by'"
HAS_META = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'"


async def migrate(db: aiosqlite.Connection, path: Path, package: str) -> None:
    """Run those of `package`'s `schema/*.sql` that the file has not had, each in a transaction.

    Raises RefusedFileError where a newer release has made the file unreadable for this one, and sqlite3.Error;
    the caller closes the connection then.
    """
    migrations = _migrations(package)
    version = int((await _rows(db, "PRAGMA user_version"))[0][0])
    if version > len(migrations) < await _least_reader(db, version):
        raise RefusedFileError(
            f"{path}: written by a newer release (schema {version}, this one knows {len(migrations)})",
            hint="install that release, or start with another file",
        )
    for number, migration in enumerate(migrations[version:], start=version + 1):
        await db.execute("BEGIN IMMEDIATE")
        for statement in _statements(migration.read_text()):
            await db.execute(statement)
        await db.execute(f"PRAGMA user_version = {number:d}")
        await db.execute("COMMIT")


async def _least_reader(db: aiosqlite.Connection, version: int) -> int:
    """The least schema number that can use a file of schema `version`; a store without `meta` promises nothing."""
    if not await _rows(db, HAS_META):
        return version
    found = await _rows(db, READABLE_BY)
    return int(found[0][0]) if found else 1


async def _rows(db: aiosqlite.Connection, query: str) -> list[aiosqlite.Row]:
    return list(await db.execute_fetchall(query))


def _migrations(package: str) -> Sequence[Traversable]:
    files = resources.files(package).joinpath("schema").iterdir()
    return sorted((file for file in files if file.name.endswith(".sql")), key=lambda file: file.name)


def _statements(script: str) -> list[str]:
    """The statements of a migration; `executescript` would commit behind our back."""
    lines = (line for line in script.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]
