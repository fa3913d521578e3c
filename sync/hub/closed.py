"""What the hub knows of records that have gone: how many, what they sum to, which times they had; pure."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from gateway.core import packing
from gateway.core.accounts import HOUR_MS, MODULUS, Account, of_records
from gateway.core.varint import Reader, put_curve
from sync.hub.sql import Row

R = TypeVar("R", bound=Row)


def packed_times(hour: int, times: Iterable[int]) -> bytes:
    """Of an hour; a steady pace takes some 25 bytes."""
    out = bytearray()
    put_curve(out, (ts - hour for ts in sorted(times)))
    return packing.pack(bytes(out))


def times_of(hour: int, count: int, packed: bytes) -> list[int]:
    """The inverse of `packed_times`. Raises CodecError."""
    return [hour + ms for ms in Reader(packing.unpack(packed)).curve(count)]


def joined(hour: int, before: Row | None, rows: Sequence[tuple[int, bytes]]) -> tuple[int, int, bytes]:
    """Count, digest and times once the records (ts, row) go, too; `before`: those of what went before."""
    count, digest, times = before or (0, 0, None)
    known = times_of(hour, count, times) if times is not None else []
    account = sum_of(Account(count, digest), Account(len(rows), of_records(rows)))
    return account.count, account.digest, packed_times(hour, known + [ts for ts, _ in rows])


def sum_of(one: Account, other: Account) -> Account:
    return Account(one.count + other.count, (one.digest + other.digest) % MODULUS)


def touched(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """The hours (series, begin) of records (series, ts, ...)."""
    return sorted({(row[0], row[1] - row[1] % HOUR_MS) for row in rows})


def not_gone(rows: Sequence[R], closed: Iterable[Row]) -> Sequence[R]:
    """Those of `rows` (series, ts, ...) that were not here before; `closed`: (series, hour, count, times)."""
    gone = {
        (series, hour): None if times is None else set(times_of(hour, count, times))
        for series, hour, count, times in closed
    }
    return [row for row in rows if not _has(gone, row[0], row[1])] if gone else rows


def _has(gone: dict[tuple[int, int], set[int] | None], series: int, ts: int) -> bool:
    """Nobody can say it of an hour whose times have gone: then it is taken for known."""
    hour = series, ts - ts % HOUR_MS
    if hour not in gone:
        return False
    times = gone[hour]
    return times is None or ts in times
