"""Which part of what is older than a day a round of the ledger compares, so that a week compares it all; pure."""

from gateway.core.span import Span

WEEK_MS = 7 * 86_400_000


def place(older: Span, now_ms: int) -> int:
    """So far a week's rounds have come at this time: a matter of the clock alone, nothing has to be remembered."""
    return older.lo + len(older) * (now_ms % WEEK_MS) // WEEK_MS


def portion(older: Span, reached: int, since_ms: int, now_ms: int) -> list[Span]:
    """What a round compares when the last one, at `since_ms`, had `reached`: at the end of a week it begins anew."""
    now = place(older, now_ms)
    if not 0 <= now_ms - since_ms < WEEK_MS:
        return [older] if older else []
    same_week = since_ms // WEEK_MS == now_ms // WEEK_MS
    parts = [Span(reached, now)] if same_week else [Span(reached, older.hi), Span(older.lo, now)]
    return [part for part in (part.within(older) for part in parts) if part]
