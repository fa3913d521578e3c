"""Hours as the ledger handles them: which are asked about, how many at once, what an answer calls for; pure."""

from collections.abc import Iterable, Sequence
from typing import Literal

from gateway.core.accounts import HOUR_MS, Account, Held
from gateway.core.span import Span

HOURS_A_BATCH = 500
RECORDS_A_BATCH = 300_000  # the hub reads each of them


def can_be_asked(held: Held, unsent: Sequence[Span], now: int) -> bool:
    """Whether nothing of it is on its way, and it does not grow while we ask, as the present hour does."""
    present = held.hour == now // HOUR_MS * HOUR_MS
    return not present and not any(span.within(left) for span in held.spans for left in unsent)


def batches(held: Iterable[Held]) -> list[list[Held]]:
    """Pieces that a hub can count in seconds."""
    pieces: list[list[Held]] = [[]]
    records = 0
    for one in held:
        if pieces[-1] and (len(pieces[-1]) >= HOURS_A_BATCH or records + one.account.count > RECORDS_A_BATCH):
            pieces.append([])
            records = 0
        pieces[-1].append(one)
        records += one.account.count
    return [piece for piece in pieces if piece]


def remedy(held: Held, theirs: Account) -> Literal["send", "send once", "tell", ""]:
    """What to do about an hour of which the hub holds `theirs`; pure.

    More than we have is no fault: here it was thinned or deleted, or came before this buffer. But whether ours is among
    it cannot be seen: so it is sent once more for each state of the hub. Then the hub has each of our times; where it
    has as many and other rows, only people can tell which are right.
    """
    if theirs == held.account:
        return ""
    if theirs.count < held.account.count:
        return "send"
    if not held.exact:
        return ""
    if held.sent_for != theirs.digest:
        return "send once"
    return "tell" if theirs.count == held.account.count and not held.told else ""
