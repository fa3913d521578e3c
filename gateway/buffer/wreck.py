"""What can still be read of a damaged file, piece by piece, around what cannot."""

import contextlib
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.core import packing

FAILURES_MAX = 50_000  # of one table: a broken page costs some thousand tries, a broken root would cost for ever
Row = tuple[Any, ...]


class Wreck:
    """Reads only; blocks, so it belongs on a thread. What raises nothing gives what could be read."""

    def __init__(self, path: Path) -> None:
        self._db: sqlite3.Connection | None = None
        self._tables: dict[str, list[str]] = {}
        with contextlib.suppress(sqlite3.Error):
            address = f"{path.absolute().as_uri()}?mode=ro"
            self._db = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
            # A broken length must not take all the memory of a small machine.
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2 * packing.UNPACKED_MAX)
            self._db.execute("PRAGMA writable_schema = ON")  # else a file that was cut off would not be looked at
            for (table,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                self._tables[table] = [row[1] for row in self._db.execute(f'PRAGMA table_info("{table}")')]

    def columns(self, table: str) -> list[str]:
        """Empty where the table is not known."""
        return self._tables.get(table, [])

    def by_number(self, table: str, key: str, columns: Sequence[str], lo: int, hi: int) -> Iterator[Row]:
        """Rows with `lo <= key < hi` in order, by halving the range around what cannot be read."""
        if not self.columns(table):
            return
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE {key} >= ? AND {key} < ? ORDER BY {key}"  # noqa: S608 - our own names
        failures = 0
        ranges = [(lo, hi)]
        while ranges and failures < FAILURES_MAX:
            lo, hi = ranges.pop()
            rows = self.all(query, (lo, hi))
            if rows is not None:
                yield from rows
                continue
            failures += 1
            if hi - lo > 1:
                middle = (lo + hi) // 2
                ranges += [(middle, hi), (lo, middle)]

    def from_both_ends(self, table: str, columns: Sequence[str], keys: Sequence[str]) -> Iterator[Row]:
        """All rows; where something cannot be read, those before the first and those after the last such place."""
        for direction in ("ASC", "DESC"):
            order = ", ".join(f"{key} {direction}" for key in keys)
            if (yield from self._until_broken(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}")):  # noqa: S608
                return

    def _until_broken(self, query: str) -> Generator[Row, None, bool]:
        """Rows as far as they come; returns whether they came to an end."""
        if self._db is None:
            return False
        try:
            yield from self._db.execute(query)
        except (sqlite3.Error, OverflowError):
            return False
        return True

    def all(self, query: str, parameters: Row = ()) -> list[Row] | None:
        """None where it cannot be read."""
        if self._db is None:
            return None
        try:
            return self._db.execute(query, parameters).fetchall()
        except (sqlite3.Error, OverflowError):
            return None

    def one(self, query: str, parameters: Row = ()) -> Row | None:
        """The first row; None where there is none or it cannot be read."""
        rows = self.all(query, parameters)
        return rows[0] if rows else None

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
