"""What edge and hub compare, so that each can say whether the other holds the same records (P10)."""

import hashlib
from collections.abc import Iterable

HOUR_MS = 3_600_000
MODULUS = 1 << 63


def of_record(ts: int, row: bytes) -> int:
    """0 <= n < 2^63: the first 8 bytes of MD5(ts as 8 bytes, big-endian, signed; row), less the topmost bit.

    MD5 because PostgreSQL can compute it where the rows are; against chance, not against an adversary. The flags
    stay out: they may change where the record does not.
    """
    digest = hashlib.md5(ts.to_bytes(8, "big", signed=True) + row, usedforsecurity=False).digest()
    return int.from_bytes(digest[:8]) % MODULUS


def of_records(records: Iterable[tuple[int, bytes]]) -> int:
    """The digest of many (ts, row), in whatever order."""
    return sum(of_record(ts, row) for ts, row in records) % MODULUS
