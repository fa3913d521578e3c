"""What edge and hub compare, so that each can say whether the other holds the same records (P10)."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.model import Event
from gateway.core.span import Span

HOUR_MS = 3_600_000
EVENTS = bytes(8)  # in the place of a layout's id: the account is of the hour's events
MODULUS = 1 << 63


@dataclass(frozen=True, slots=True)
class Account:
    """What one end holds of one layout's hour."""

    count: int  # records
    digest: int  # of_records


@dataclass(frozen=True, slots=True)
class Held:
    """What the gateway holds of one layout's hour, and where."""

    layout: bytes  # its id, or EVENTS
    hour: int  # when it begins, milliseconds since 1970 UTC
    account: Account
    exact: bool  # the hub should hold just this: not where it was thinned, a time came with two rows, or of events
    spans: tuple[Span, ...]  # the segments and frames that it is in
    sent_for: int | None = None  # the hub's digest for which all of this was sent again
    told: bool = False  # that the hub has other records, all the same


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


def of_events(events: Iterable[Event]) -> Account:
    """An event counts as a record whose row is what it says."""
    rows = [(event.ts, f"{event.seq}\0{event.kind}\0{event.device}\0{event.detail}".encode()) for event in events]
    return Account(len(rows), of_records(rows))


def by_hour(events: Iterable[Event]) -> dict[int, list[Event]]:
    """By when the hour begins, in ms."""
    hours: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        hours[event.ts // HOUR_MS * HOUR_MS].append(event)
    return hours
