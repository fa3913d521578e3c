"""Layouts as the stores keep them; many nodes have the same ones."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from gateway.core.model import Layout, decode_layout
from sync.hub.store.sql import Sql

KEPT = 1000  # a layout of 40 points takes 27 kB
SERIES_MAX = 200_000  # known by heart, some 350 bytes each
SERIES = "SELECT id, encoded FROM series WHERE node = $1 ORDER BY id"
ONE = "SELECT id, encoded FROM series WHERE node = $1 AND layout = $2"


@lru_cache(KEPT)
def known_layout(encoded: bytes) -> Layout:
    """See `decode_layout`."""
    return decode_layout(encoded)


async def series_of(sql: Sql, node: str, device: str = "") -> list[tuple[int, Layout]]:
    """The series of a node, or of one device of it, with their layouts, oldest first. Raises StorageError."""
    rows = [(series, known_layout(encoded)) for series, encoded in await sql.fetch(SERIES, node)]
    return [(series, layout) for series, layout in rows if not device or layout.device == device]


class Series(NamedTuple):
    """A layout of a node in the store: its number there, and the bytes of a row."""

    id: int
    row_size: int


class KnownSeries:
    """Those that were asked for; they never change. All methods raise StorageError."""

    def __init__(self, sql: Sql, *, most: int = SERIES_MAX) -> None:
        self._sql = sql
        self._most = most
        self._found: dict[tuple[str, bytes], Series] = {}

    @property
    def count(self) -> int:
        return len(self._found)

    async def of(self, node: str, layout_id: bytes) -> Series | None:
        """None: the node never sent that layout, to whichever process of the hub."""
        known = self._found.get((node, layout_id))
        if known is None:
            for series, encoded in await self._sql.fetch(ONE, node, layout_id):
                known = Series(series, known_layout(encoded).rows.size)
                if len(self._found) >= self._most:
                    self._found.clear()
                self._found[node, layout_id] = known
        return known

    async def ids(self, node: str, layout_ids: Iterable[bytes]) -> dict[bytes, int]:
        """Their numbers in the store; those that the node never sent are left out."""
        found = [(layout_id, await self.of(node, layout_id)) for layout_id in layout_ids]
        return {layout_id: known.id for layout_id, known in found if known}
