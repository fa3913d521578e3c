"""Which stamps of a device can be right, and what the others become; pure.

All times are milliseconds since 1970 UTC.
"""

from bisect import bisect_left
from collections.abc import Sequence

EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: an earlier stamp comes from a clock that was never set
AHEAD_MAX_MS = 5 * 60_000


def why_doubtful(ts: int, now_ms: int) -> str:
    """Why `ts` cannot be when something was measured; empty where it can."""
    if ts < EARLIEST_MS:
        return "stamped before 2020: the device's clock was not set"
    if ts > now_ms + AHEAD_MAX_MS:
        return "stamped more than 5 minutes ahead: the device's clock is wrong"
    return ""


def retimed(stamps: Sequence[tuple[int, int]], now_ms: int) -> list[int | None]:
    """The times of a device's records, each given as (index, ts), lowest index first.

    A doubtful stamp between two good ones is put where its index stands between theirs, for the
    index counts where the clock does not; one with a good stamp on one side only becomes None.
    """
    good = [(index, ts) for index, ts in stamps if not why_doubtful(ts, now_ms)]
    indexes = [index for index, _ in good]
    times: list[int | None] = []
    for index, ts in stamps:
        if not why_doubtful(ts, now_ms):
            times.append(ts)
            continue
        after = bisect_left(indexes, index)
        if after in (0, len(good)):
            times.append(None)
            continue
        (left, left_ts), (right, right_ts) = good[after - 1], good[after]
        times.append(left_ts + (right_ts - left_ts) * (index - left) // (right - left))
    return times
