"""While the disk takes nothing: since when, how soon to try again, and what was lost meanwhile."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.core.model import Record
from gateway.core.wording import utc_text

PAUSE_MAX_S = 5.0
TO_SECONDS = "%Y-%m-%d %H:%M:%S UTC"
REOPEN_AFTER = 2  # failures in a row; the first one may have been a moment's


@dataclass(slots=True)
class Loss:
    """Records that were dropped for one reason, and the times that they were measured."""

    records: int = 0
    first_ms: int = 0
    last_ms: int = 0

    def add(self, dropped: Sequence[Record]) -> None:
        times = [record.ts for record in dropped]
        self.first_ms = min([*times, self.first_ms] if self.records else times)
        self.last_ms = max([*times, self.last_ms])
        self.records += len(dropped)

    def __str__(self) -> str:
        return (
            f"{self.records} records of {utc_text(self.first_ms, TO_SECONDS)} to {utc_text(self.last_ms, TO_SECONDS)}"
        )


class Outage:
    """The one that is on, or none."""

    def __init__(self) -> None:
        self.why = ""
        self.failures = 0
        self.waited = 0  # records that came in the meantime and are on the disk now
        self._since_s = 0.0
        self._lost: dict[str, Loss] = {}

    def failed(self, why: str, now_s: float) -> bool:
        """A try failed; whether it is the first one."""
        first = not self.failures
        if first:
            self._since_s = now_s
        self.why = why
        self.failures += 1
        return first

    @property
    def pause_s(self) -> float:
        """Until the next try; it grows."""
        return float(min(PAUSE_MAX_S, 0.5 * 2 ** min(self.failures, 10)))

    def dropped(self, records: Sequence[Record]) -> None:
        """There was no more room in memory."""
        self._lost.setdefault(self.why or "the disk was too slow", Loss()).add(records)

    def over(self, now_s: float) -> Iterable[tuple[str, str]]:
        """The disk takes everything again: events to write, as (kind, detail)."""
        if self.failures:
            took = f"{now_s - self._since_s:.0f} s, {self.waited} records waited in memory"
            yield "storage_recovered", f"the disk took nothing for {took}: {self.why}"
        for why, loss in self._lost.items():
            yield "readings_lost", f"{loss}: {why}, and the memory was full"
        self.failures, self.waited, self.why, self._lost = 0, 0, "", {}
