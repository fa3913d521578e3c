"""The way to the hub as its page shows it: strings, nothing left to compute; pure."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from gateway.core.status import RefusedLine, SiteState, StreamState
from gateway.core.syncwording import Fact, holding_facts, hub_facts, hub_text, progress_facts, sync_text, time_text
from gateway.core.wording import number_text
from local_ui.present import sync_level

TITLES = {"records": "Records", "events": "Events"}


def sync_view(state: SiteState, refused: Sequence[RefusedLine], zone: tzinfo) -> dict[str, Any]:
    """{site, zone, text, level, hub, facts, streams: [{title, error, facts}], refused, more_refused}; newest first."""
    sync = state.sync
    more = sync.quarantined - len(refused)
    return {
        "site": state.site,
        "zone": str(zone),
        "text": sync_text(sync),
        "level": sync_level(sync),
        "hub": hub_text(sync),
        "facts": [_fact(fact) for fact in hub_facts(sync, state.now, zone)] if sync.hub else [],
        "streams": [_stream_view(stream, state.now, zone) for stream in sync.streams],
        "refused": [_refused_view(line, zone) for line in refused],
        "more_refused": number_text(more, "") if more > 0 else "",
    }


def _stream_view(stream: StreamState, now: int, zone: tzinfo) -> dict[str, Any]:
    facts = (*holding_facts(stream, now, zone), *progress_facts(stream, now, zone))
    return {"title": TITLES[stream.name], "error": stream.error, "facts": [_fact(fact) for fact in facts]}


def _refused_view(line: RefusedLine, zone: tzinfo) -> dict[str, str]:
    return {
        "id": str(line.id),
        "at": time_text(line.at, zone),
        "what": f"{line.device}, {line.what}" if line.device else line.what,
        "ts": time_text(line.ts, zone),
        "reason": line.reason,
        "again": "is sent again" if line.again else "",
    }


def _fact(fact: Fact) -> dict[str, str]:
    return fact._asdict()
