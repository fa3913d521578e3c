"""How far the hub is, as people read it; pure, for the site's page and the command line."""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from gateway.core.status import StreamState, SyncState
from gateway.core.wording import DASH, YEAR_9999_MS, age_text, bytes_text, number_text


class Fact(NamedTuple):
    """A name, what it is, and what there is to say to it."""

    name: str
    text: str
    more: str = ""


def sync_text(sync: SyncState) -> str:
    """How far the hub is, in the owner's words: one sentence."""
    if not sync.hub:
        return "No hub; everything stays here"
    if not sync.connected or (sync.backlog and sync.error):  # a metered line may be closed though the hub is reached
        if not sync.backlog and not sync.error:
            return "Nothing waits for the hub"
        waiting = f"{_records(sync.backlog)} wait{'s' if sync.backlog == 1 else ''} for the hub"
        return f"{waiting}: {sync.error}" if sync.error else waiting
    if sync.backlog > 0:
        return f"Live; {_records(sync.backlog)} on the way to the hub"
    if sync.quarantined:
        return f"The hub has everything but {number_text(sync.quarantined, '')} that it refuses"
    return "The hub has everything"


def hub_text(sync: SyncState) -> str:
    """Where the hub is, and what carries to it at present."""
    carrier = "HTTP" if sync.hub.startswith("http://") else sync.transport.upper()
    return f"{sync.hub}, over {carrier}" if sync.transport else sync.hub


def hub_facts(sync: SyncState, now: int, zone: tzinfo) -> Iterator[Fact]:
    """What is true of all streams; `now` in milliseconds since 1970 UTC, times in `zone`."""
    yield Fact("Last acknowledged", *_moment(sync.acknowledged_at, now, zone, "not since the start"))
    budget = f"of {bytes_text(sync.bytes_budget)} a day" if sync.bytes_budget else "sent and received since midnight"
    yield Fact("Today", bytes_text(sync.bytes_today), budget)
    yield Fact("Compared", *_compared(sync, now, zone))
    yield Fact("Refused for good", number_text(sync.quarantined, ""), "in quarantine" if sync.quarantined else "")


def holding_facts(stream: StreamState, now: int, zone: tzinfo) -> Iterator[Fact]:
    """How much of one stream is here, and how much of it at the hub."""
    oldest = f"the oldest {age_text(now - stream.oldest)} old, {time_text(stream.oldest, zone)}"
    yield Fact("Taken", number_text(stream.head, ""), "by this file")
    yield Fact("Acknowledged", number_text(stream.head - stream.backlog, ""), "by the hub")
    yield Fact("Waiting", number_text(stream.backlog, ""), oldest if stream.backlog and stream.oldest else "")


def progress_facts(stream: StreamState, now: int, zone: tzinfo) -> Iterator[Fact]:
    """How one stream goes on."""
    yield Fact("Newest at the hub", *_moment(stream.newest_sent, now, zone, "not known yet"))
    yield Fact("Rate", f"{rate_text(stream.per_s)}/s", "acknowledged, in the last minute")
    yield Fact("All sent", done_text(stream), "at this rate" if stream.backlog and stream.done_s is not None else "")
    if stream.next_s > 0:
        yield Fact("Next attempt", f"in {_wait_text(stream.next_s)}")


def done_text(stream: StreamState) -> str:
    """When nothing of the stream will wait any more."""
    if not stream.backlog:
        return "nothing waits"
    return "not known" if stream.done_s is None else f"in {_wait_text(stream.done_s)}"


def rate_text(per_s: float) -> str:
    """A rate with as many digits as it is worth."""
    return f"{per_s:,.0f}" if per_s >= 10 or not per_s else f"{per_s:.1f}"


def time_text(ms: int, zone: tzinfo) -> str:
    """A time since 1970 UTC, to the second; what no calendar has is shown as its nearest end."""
    return f"{datetime.fromtimestamp(min(max(ms, 0), YEAR_9999_MS) / 1000, UTC).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _records(count: int) -> str:
    return f"{number_text(count, '')} record{'' if count == 1 else 's'}"


def _wait_text(seconds: float) -> str:
    return age_text(max(1000, round(seconds * 1000)))


def _moment(ms: int, now: int, zone: tzinfo, never: str) -> tuple[str, str]:
    return (f"{age_text(now - ms)} ago", time_text(ms, zone)) if ms else (DASH, never)


def _compared(sync: SyncState, now: int, zone: tzinfo) -> tuple[str, str]:
    if not sync.compared_at:
        return DASH, "not since the start"
    if not sync.compared:
        return DASH, "nothing yet: only hours that are over, and at the hub, are compared"
    ago = f"{age_text(now - sync.compared_at)} ago, {time_text(sync.compared_at, zone)}"
    if not sync.differing:
        return "no difference", ago
    hours = "1 hour differs" if sync.differing == 1 else f"{number_text(sync.differing, '')} hours differ"
    return hours, f"{ago}; of a poll group each, sent again while they are here"
