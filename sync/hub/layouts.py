"""Layouts as the stores keep them; many nodes have the same ones."""

from functools import lru_cache

from gateway.core.model import Layout, decode_layout
from sync.hub.sql import Sql

KEPT = 4096
SERIES = "SELECT id, encoded FROM series WHERE node = $1 ORDER BY id"


@lru_cache(KEPT)
def known_layout(encoded: bytes) -> Layout:
    """See `decode_layout`."""
    return decode_layout(encoded)


async def series_of(sql: Sql, node: str, device: str = "") -> list[tuple[int, Layout]]:
    """The series of a node, or of one device of it, with their layouts, oldest first. Raises StorageError."""
    rows = [(series, known_layout(encoded)) for series, encoded in await sql.fetch(SERIES, node)]
    return [(series, layout) for series, layout in rows if not device or layout.device == device]
