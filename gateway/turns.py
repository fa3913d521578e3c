"""Whose turn it is on a bus, pure: deadlines, a tenth of the bus for what is slow or dead (P7)."""

from collections.abc import Iterable
from dataclasses import dataclass

SHARE = 0.1  # of the bus's time: what a slow device, all probes together, or a background job may cost neighbours
PATIENCE_S = 10.0  # on a bus that is never idle, a probe that waited longer goes first


@dataclass(slots=True)
class Turn:
    """Something that wants the bus; times are monotonic seconds."""

    owner: str  # the device
    due_s: float  # from when on
    took_s: float = 0  # when it last had the bus
    ended_s: float = float("-inf")
    probe: bool = False  # of a device that does not answer: only within its share

    @property
    def within_share_s(self) -> float:
        """From when on it has cost its neighbours no more than a tenth of the bus's time."""
        return self.ended_s + self.took_s * (1 / SHARE - 1)


def choose(turns: Iterable[Turn], now_s: float, *, alone: bool) -> tuple[Turn | None, float]:
    """Whose turn it is now, else None, and after how many seconds to ask again.

    What is within its share goes first, the earliest deadline before the others, and of one deadline
    who has waited longest, so that a bus with too much to do lacks a little of everybody; probes last. What
    is beyond its share goes only where it will be done before anything else is due. `alone`: there
    is only one device on the bus, or none that answers, so that nobody is kept waiting.
    """
    wanted = list(turns)
    ready: list[tuple[int, float, float, Turn]] = []
    wait_s = PATIENCE_S
    for turn in wanted:
        if turn.due_s > now_s:
            wait_s = min(wait_s, turn.due_s - now_s)
        elif alone or now_s >= turn.within_share_s:
            yields = turn.probe and now_s - max(turn.due_s, turn.within_share_s) < PATIENCE_S
            ready.append((yields, turn.due_s, turn.ended_s, turn))
        else:
            wait_s = min(wait_s, turn.within_share_s - now_s)
            if not turn.probe and now_s + turn.took_s <= _next_due_s(wanted, turn):
                ready.append((2, turn.due_s, turn.ended_s, turn))
    if not ready:
        return None, wait_s
    return min(ready, key=lambda entry: entry[:3])[3], 0.0


def _next_due_s(turns: Iterable[Turn], mine: Turn) -> float:
    """When a neighbour that answers is next due and within its share."""
    others = (turn for turn in turns if turn.owner != mine.owner and not turn.probe)
    return min((max(turn.due_s, turn.within_share_s) for turn in others), default=float("inf"))
