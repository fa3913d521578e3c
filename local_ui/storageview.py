"""The buffer as its page shows it: strings, nothing left to compute; pure."""

from typing import Any

from gateway.core.status import BufferState, SiteState, ThinnedRange
from gateway.core.wording import DASH, bytes_text, number_text, resolution_text, utc_text
from local_ui.present import storage_text

RANGES_MOST = 100
LESS_S = 10.0  # the slow-write mode


def storage_view(state: SiteState, thinned: list[ThinnedRange]) -> dict[str, Any]:
    """{site, error, facts: [{name, text, more}], ranges, more_ranges, pace: {text, buttons}}; newest ranges first."""
    newest = thinned[::-1][:RANGES_MOST]
    return {
        "site": state.site,
        "error": storage_text(state.buffer),
        "facts": _facts(state),
        "ranges": [_range_view(one) for one in newest],
        "more_ranges": number_text(len(thinned) - len(newest), "") if len(thinned) > len(newest) else "",
        "pace": pace_view(state.buffer),
    }


def pace_view(buffer: BufferState) -> dict[str, Any]:
    """What a commit interval costs, and the buttons that change it: {label, commit_s as JSON}."""
    seconds = seconds_text(buffer.commit_s)
    buttons = []
    if buffer.commit_s < LESS_S != buffer.configured_s:
        buttons.append({"label": f"Write less: commit every {LESS_S:g} s", "commit_s": f"{LESS_S:g}"})
    if buffer.commit_s > 1 and buffer.configured_s != 1:
        buttons.append({"label": "Commit every second", "commit_s": "1"})
    if buffer.commit_s != buffer.configured_s:
        label = f"As the configuration says: every {seconds_text(buffer.configured_s)}"
        buttons.append({"label": label, "commit_s": "null"})
    return {
        "text": f"A commit every {seconds}: a power cut costs at most what came since the last.",
        "buttons": buttons,
    }


def _facts(state: SiteState) -> list[dict[str, str]]:
    buffer = state.buffer
    oldest = (utc_text(buffer.oldest), "UTC") if buffer.oldest else (DASH, "none but the last minutes'")
    thinned = "counted for each poll group, listed below" if buffer.thinned_hours else ""
    return [
        _fact("Size", bytes_text(buffer.bytes), share_text(buffer)),
        _fact("Records", number_text(buffer.head, ""), "taken by this file"),
        _fact("Oldest whole record", *oldest),
        _fact("Thinned", f"{number_text(buffer.thinned_hours, '')} h", thinned),
        _fact("Waiting for the disk", number_text(buffer.pending, ""), "records in memory"),
        _fact("Lost", number_text(buffer.dropped, ""), "records since the start"),
        _fact(
            "Written a day", bytes_text(buffer.written_per_day) if buffer.written_per_day else DASH, wear_text(buffer)
        ),
    ]


def share_text(buffer: BufferState) -> str:
    """How much of the budget is used; empty where there is none."""
    if not buffer.budget:
        return ""
    share = buffer.bytes / buffer.budget
    return f"{f'{share:.1%}' if share >= 0.001 else 'less than 0.1%'} of its budget of {bytes_text(buffer.budget)}"


def wear_text(buffer: BufferState) -> str:
    """What the writing means for a card."""
    if not buffer.written_per_day:
        return "not known: the first minute, or a disk that does not count"
    terabytes = buffer.written_per_day * buffer.card_years * 365.25 / 1e12
    return f"by all programs; at this rate a card good for {terabytes:.4g} TB lasts {life_text(buffer.card_years)}"


def life_text(years: float) -> str:
    """In years or, for a short one, in months or days."""
    if years > 100:
        return "more than 100 years"
    if years >= 2:
        return f"{years:.0f} years"
    return f"{12 * years:.0f} months" if years >= 1 / 6 else f"{365 * years:.0f} days"


def seconds_text(seconds: float) -> str:
    return "second" if seconds == 1 else f"{seconds:g} s"


def _range_view(one: ThinnedRange) -> dict[str, str]:
    return {
        "since": utc_text(one.since),
        "until": utc_text(one.until),
        "resolution": f"one {resolution_text(one.level_ms)}",
        "removed": number_text(one.removed, ""),
        "kept": number_text(one.kept, ""),
    }


def _fact(name: str, text: str, more: str) -> dict[str, str]:
    return {"name": name, "text": text, "more": more}
