"""A simulated Acuvim II with its first log: a record a minute, seen through the window, with real meters' faults."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from random import Random
from typing import Literal

from drivers.modbus import acuvim_window

Fault = Literal["slow", "twice", "repeated", "disordered", "short"]
"""What may go wrong with a window: it is not ready for some reads; it is still the one before; it says the new
offset and holds the records of the one before; its records are in the wrong order; there are too few of them."""

EVERY_S = 60
VALUES = 4  # 32-bit each: energy imported and exported, reactive energy imported and exported
RECORD_BYTES = acuvim_window.AROUND_BYTES + 4 * VALUES
UNSET = bytes([0, 1, 1, 0, 0, 0])  # a clock that was never set: 2000-01-01 00:00:00


def values_of(number: int) -> tuple[int, ...]:
    """What record `number` holds, in 0.1 kWh or kvarh."""
    return 368_545 + 3 * number, 99_534, 33, 526_529 + 7 * number // 2


class SimulatedAcuvim:
    """The log grows by `run`; its clock shows the time of `zone`. Other registers than those of the log are refused."""

    def __init__(
        self, begun_s: int, zone: tzinfo, *, capacity: int = 187_200, sector: int = 2_340,
        faults: Sequence[Fault] = (), fault_rate: float = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        self.unset: set[int] = set()  # the numbers of records that the clock was not set for
        self.set_back_s: dict[int, int] = {}  # by number: how far the clock stands off from that record on
        self.oldest = self.newest = 0  # numbers; 0: the log is empty
        self.faults = 0  # that happened
        self._begun_s = begun_s
        self._now_s = begun_s
        self._zone = zone
        self._capacity = capacity
        self._sector = sector
        self._kinds = faults
        self.fault_rate = fault_rate
        self._random = Random(seed)
        self._written = [0, 0, 0, 0]
        self._window = bytes(2 * acuvim_window.WINDOW_WORDS)
        self._unready = 0  # reads that find the window not ready

    def run(self, records: int) -> None:
        """Let so many minutes pass. A full log gives up its oldest sector."""
        for _ in range(records):
            self._now_s += EVERY_S
            self.newest += 1
            self.oldest = self.oldest or self.newest
            if self.newest - self.oldest >= self._capacity:
                self.oldest += self._sector

    def clear(self) -> None:
        """Forget all records; the next one is number 1 again."""
        self._begun_s = self._now_s
        self.oldest = self.newest = 0

    def made_s(self, number: int) -> int:
        """When record `number` was made, seconds since 1970 UTC."""
        return self._begun_s + EVERY_S * number

    def _record(self, number: int) -> bytes:
        off_s = sum(by for since, by in self.set_back_s.items() if number >= since)
        shown = datetime.fromtimestamp(self.made_s(number) + off_s, self._zone)
        stamp = [shown.year - 2000, shown.month, shown.day, shown.hour, shown.minute, shown.second]
        data = b"".join(value.to_bytes(4) for value in values_of(number))
        return number.to_bytes(4) + (UNSET if number in self.unset else bytes(stamp)) + data + b"\0\0"

    def read(self, address: int, count: int) -> list[int] | None:
        """See `dialogue.Unit`."""
        if address == acuvim_window.WINDOW_AT and count <= acuvim_window.WINDOW_WORDS:
            self._unready -= 1
            status = b"\x08\xff" if self._unready >= 0 else self._window[:2]
            return _words((status + self._window[2:])[: 2 * count])
        if address == acuvim_window.STATUS_AT and count <= acuvim_window.STATUS_WORDS:
            used = self.newest - self.oldest + 1 if self.newest else 0
            return _words(self._capacity.to_bytes(4) + used.to_bytes(4) + RECORD_BYTES.to_bytes(2))[:count]
        return None

    def write(self, address: int, words: Sequence[int]) -> bool:
        """See `dialogue.Unit`."""
        if address != acuvim_window.REQUEST_AT or len(words) != 4 or words[0] != 0:
            return False
        fault = self._random.choice(self._kinds) if self._kinds and self._random.random() < self.fault_rate else ""
        self.faults += fault != ""
        self._unready = self._random.randrange(1, 15) if fault == "slow" else 0
        if fault != "twice":
            self._show(words[1] >> 8, words[2] << 16 | words[3], fault)
        return True

    def _show(self, count: int, offset: int, fault: str) -> None:
        first = self.oldest + offset
        numbers = [number for number in range(first, first + count) if number <= self.newest]
        if fault == "disordered":
            self._random.shuffle(numbers)
        elif fault == "short":
            numbers = numbers[: len(numbers) // 2]
        head = bytes([len(numbers), acuvim_window.READY]) + offset.to_bytes(4)
        shown = self._window[6:] if fault == "repeated" else b"".join(self._record(number) for number in numbers)
        left = (head + shown)[: len(self._window)]
        self._window = left + self._window[len(left) :]  # what the records do not reach stays as it was


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]
