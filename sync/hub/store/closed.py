"""What the hub knows of records that have gone: how many, what they sum to, which times they had; pure."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from gateway.core import packing
from gateway.core.accounts import HOUR_MS, MODULUS, Account, of_records
from gateway.core.errors import CodecError
from gateway.core.varint import Reader, put_curve
from sync.hub.store.sql import Row

R = TypeVar("R", bound=Row)
log = logging.getLogger(__name__)


def packed_times(hour: int, times: Iterable[int]) -> bytes:
    """Of an hour; a steady pace takes some 25 bytes."""
    out = bytearray()
    put_curve(out, (ts - hour for ts in sorted(times)))
    return packing.pack(bytes(out))


def times_of(hour: int, count: int, packed: bytes | None) -> list[int] | None:
    """The inverse of `packed_times`; None where that has gone, or is spoilt."""
    if packed is None:
        return None
    try:
        return [hour + ms for ms in Reader(packing.unpack(packed)).curve(count)]
    except CodecError as error:
        log.error("the times of an hour cannot be read", extra={"hour": hour, "why": str(error)})
        return None


def joined(hour: int, before: Row | None, rows: Sequence[tuple[int, bytes]]) -> tuple[Account, bytes | None]:
    """The account and the packed times once the records (ts, row) go, too; `before`: count, digest and times so far."""
    count, digest, packed = before or (0, 0, packed_times(hour, []))
    known = times_of(hour, count, packed)
    account = sum_of(Account(count, digest), Account(len(rows), of_records(rows)))
    return account, None if known is None else packed_times(hour, known + [ts for ts, _ in rows])


def sum_of(one: Account, other: Account) -> Account:
    return Account(one.count + other.count, (one.digest + other.digest) % MODULUS)


def times_by_series(rows: Iterable[Row]) -> dict[int, list[int]]:
    """The times of records (series, ts, ...), in their order."""
    times: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        times[row[0]].append(row[1])
    return times


def touched(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """The hours (series, begin) of records (series, ts, ...)."""
    hours: set[tuple[int, int]] = set()
    for series, times in times_by_series(rows).items():
        first, last = min(times) // HOUR_MS, max(times) // HOUR_MS
        of_series = range(first, last + 1) if last - first <= 1 else {ts // HOUR_MS for ts in times}
        hours.update((series, hour * HOUR_MS) for hour in of_series)
    return sorted(hours)


def not_gone(rows: Sequence[R], closed: Iterable[Row]) -> Sequence[R]:
    """Those of `rows` (series, ts, ...) that were not here before; `closed`: (series, hour, count, times).

    Of an hour whose times have gone nobody can say it: all that comes is taken for known.
    """
    gone = {(series, hour): times_of(hour, count, times) for series, hour, count, times in closed}
    if not gone:
        return rows
    times = {hour: set(of_hour or ()) for hour, of_hour in gone.items()}

    def is_new(series: int, ts: int) -> bool:
        hour = series, ts - ts % HOUR_MS
        return hour not in gone or (gone[hour] is not None and ts not in times[hour])

    return [row for row in rows if is_new(row[0], row[1])]
