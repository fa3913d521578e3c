"""What time it is at the hub, as its answers say."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol

from sync import wire

DATE_MS = 500  # a Date header is cut to whole seconds: in the middle it is wrong by at most this


class TimeSink(Protocol):
    """Who wants to know what time it is at the hub."""

    def monotonic_s(self) -> float: ...
    def hub_says(self, wall_ms: int, uncertainty_ms: int) -> None: ...


def tell(sink: TimeSink | None, hub_time: tuple[int, int] | None, sent_s: float) -> None:
    """The hub looked at its clock on the way there, at `sent_s`, and back: in the middle, give or take the half."""
    if sink is not None and hub_time is not None:
        half_ms = round((sink.monotonic_s() - sent_s) * 500)
        sink.hub_says(hub_time[0] + half_ms, hub_time[1] + half_ms)


def time_of(headers: Mapping[str, str], *, is_hub: bool) -> tuple[int, int] | None:
    """The hub's time and how uncertain it is, in ms; None where the answer does not say, or another gave it.

    The header of our own is the hub's; any proxy or sign-in page gives a Date, so it counts in the hub's answers only.
    """
    own = headers.get(wire.HUB_TIME, "")
    if own.isdecimal() and len(own) < 16:
        return int(own), 0
    try:
        date_s = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None
    return (round(date_s * 1000) + DATE_MS, DATE_MS) if is_hub else None
