"""The window through which an Acuvim II shows its logs, as bytes; pure.

Facts: Acuvim II user manual, chapter 6, log status block (6100H) and log retrieval block (6000H); each was
seen in a capture of the maker's own program reading an Acuvim CL. A record is its number, 4 bytes, counted from 1
since the log was cleared; year since 2000, month, day, hour, minute, second of the meter's clock; the registers
that the meter was told to log, word for word; and 2 bytes of checksum. How that is computed is not published, so
it is not checked; the number is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from drivers.modbus.requests import Read, WriteMany, words_of

REQUEST_AT = 0x6000
WINDOW_AT, WINDOW_WORDS = 0x6001, 123  # as much as the maker's program reads, in one read
STATUS_AT, STATUS_STEP, STATUS_WORDS = 0x6100, 0x100, 5
READY = 0x0B  # 0xFF: not yet; 0xAA: the memory is being erased
HEAD_BYTES = 6
STAMP_BYTES = 6
AROUND_BYTES = 12  # number, stamp and checksum
BLANK_NUMBERS = (0, 0xFFFF_FFFF)  # what erased memory reads as


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How many records fit, how many there are, and how many bytes each takes."""

    capacity: int
    used: int
    record_bytes: int


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record as the meter keeps it."""

    number: int
    stamp: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Window:
    """Records from `offset` on, counted from the oldest that the log still has."""

    offset: int
    records: tuple[StoredRecord, ...]

    def shows(self, offset: int, count: int) -> bool:
        """Whether these are `count` records from `offset` on, in order and without a hole."""
        numbers = [record.number for record in self.records]
        return (
            (self.offset, len(numbers)) == (offset, count)
            and numbers == list(range(numbers[0], numbers[0] + count))
            and not any(number in BLANK_NUMBERS for number in numbers)
        )


def records_max(record_bytes: int) -> int:
    """How many records of this size one window shows."""
    return min(255, (2 * WINDOW_WORDS - HEAD_BYTES) // record_bytes)


def window_request(unit_id: int, log: int, offset: int, count: int) -> WriteMany:
    """Ask the meter to put `count` records from `offset` on into the window; `log` is 0, 1 or 2."""
    return WriteMany(unit_id, REQUEST_AT, words_of([log, count << 8, offset >> 16, offset & 0xFFFF]))


def window_read(unit_id: int) -> Read:
    return Read(unit_id, 3, WINDOW_AT, WINDOW_WORDS)


def status_read(unit_id: int, log: int) -> Read:
    return Read(unit_id, 3, STATUS_AT + STATUS_STEP * log, STATUS_WORDS)


def parse_status(words: bytes) -> LogStatus:
    return LogStatus(int.from_bytes(words[0:4]), int.from_bytes(words[4:8]), int.from_bytes(words[8:10]))


def parse_window(words: bytes, record_bytes: int) -> Window | None:
    """What the window shows; None while it is not ready. What stands behind its records is of an earlier one."""
    count, status = words[0], words[1]
    if status != READY or HEAD_BYTES + count * record_bytes > len(words):
        return None
    starts = range(HEAD_BYTES, HEAD_BYTES + count * record_bytes, record_bytes)
    return Window(int.from_bytes(words[2:6]), tuple(_record(words[at : at + record_bytes]) for at in starts))


def _record(piece: bytes) -> StoredRecord:
    return StoredRecord(int.from_bytes(piece[:4]), piece[4 : 4 + STAMP_BYTES], piece[4 + STAMP_BYTES : -2])


def stamp_ms(stamp: Sequence[int], zone: tzinfo) -> int:
    """The stamp in milliseconds since 1970 UTC, the meter's clock showing the time of `zone`; 0 where it is no date.

    Of an hour that the clock shows twice in autumn, the first is meant.
    """
    year, month, day, hour, minute, second = stamp
    try:
        return round(datetime(2000 + year, month, day, hour, minute, second, tzinfo=zone).timestamp() * 1000)
    except ValueError:
        return 0
