"""What a roll-out does next; pure.

Nodes get it wave by wave. A wave is over when every node of it has ended and the soak time has passed since the last
one; where more than `ill_max` of a wave fall ill, it stops.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gateway.core.wording import number_text

BACKLOG_MORE = 5000  # records by which a backlog may be larger than before
NAMED_MAX = 3


class Health(msgspec.Struct, frozen=True):
    """How a node is; its problems and standing alerts in words."""

    online: bool
    problems: tuple[str, ...] = ()
    backlog: int = 0
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """One node of a roll-out. `state` and `ended` are its command's; None: it was not ordered, or has not ended."""

    node: str
    wave: int
    state: str | None = None
    ended: int | None = None  # wall ms
    ill: str = ""  # why it counts as ill; empty: it does not

    @property
    def is_over(self) -> bool:
        return bool(self.ill) or self.ended is not None


@dataclass(frozen=True, slots=True)
class Order:
    node: str


@dataclass(frozen=True, slots=True)
class Stop:
    why: str


@dataclass(frozen=True, slots=True)
class Finish:
    pass


Act = Order | Stop | Finish


def next_acts(members: Sequence[Member], *, ill_max: int, soak_ms: int, now: int) -> list[Act]:
    """What is due at `now` in a roll-out that runs; empty: it waits."""
    waves = [[one for one in members if one.wave == wave] for wave in sorted({one.wave for one in members})]
    for number, wave in enumerate(waves, 1):
        ill = [one for one in wave if one.ill]
        if len(ill) > ill_max:
            return [Stop(_why(number, wave, ill))]
    for wave in waves:
        if waiting := [one for one in wave if one.state is None and not one.ill]:
            return [Order(one.node) for one in waiting]
        if not all(one.is_over for one in wave):
            return []
        if now < max((one.ended or 0 for one in wave), default=0) + soak_ms:
            return []
    return [Finish()]


def _why(number: int, wave: Sequence[Member], ill: Sequence[Member]) -> str:
    named = "; ".join(f"{one.node}: {one.ill}" for one in ill[:NAMED_MAX]) + ("; ..." if len(ill) > NAMED_MAX else "")
    return f"wave {number}: {len(ill)} of {len(wave)} nodes fell ill: {named}"


ENDED_ILL = {"failed": "it failed", "expired": "it was not fetched in time", "unknown": "nobody knows how it ended"}


def illness(before: Health, after: Health, state: str, words: str) -> str:
    """Why a node that was ordered something counts as ill; empty: it does not."""
    if state in ENDED_ILL:
        return f"{ENDED_ILL[state]}: {words}" if words else ENDED_ILL[state]
    if before.online and not after.online:
        return "it has gone offline"
    for what, old, new in (("alert", before.alerts, after.alerts), ("problem", before.problems, after.problems)):
        if fresh := [words for words in new if _form(words) not in set(map(_form, old))]:
            return f"a new {what}: {fresh[0]}"
    if after.backlog > 2 * before.backlog + BACKLOG_MORE:
        return f"its backlog grows: {number_text(after.backlog, '')} records"
    return ""


def _form(words: str) -> str:
    """A problem without its numbers, which change while it stands."""
    return re.sub(r"\d+", "#", words)


def wave_sizes(waves: Sequence[str], total: int) -> list[int]:
    """How many nodes each wave has; `waves` as "3" or "10%" of all, counted from the start; the last has the rest.

    Raises ValueError for what is no such number.
    """
    reached, sizes = 0, []
    for text in [*waves, "100%"]:
        if not re.fullmatch(r"[1-9][0-9]{0,5}|(100|[1-9][0-9]?)%", text):
            raise ValueError(f"{text[:20]!r} is no wave: expected a number of nodes, or 1% to 100%")
        upto = -(-total * int(text[:-1]) // 100) if text.endswith("%") else int(text)
        if (size := min(upto, total) - reached) > 0:
            sizes.append(size)
            reached += size
    return sizes
