"""How much of a stream goes into the next batch, after what the hub said to the last ones; pure.

A batch that is too large is halved, and grows again. Of one that the hub refuses a part is bad: that
range is kept, and halved until a single record is left.
"""

from dataclasses import dataclass, replace

from gateway.core.span import Span

LEAST = 500  # records that are worth a batch, however slow the line
AIM_S = 2.0  # a batch on its way is what the live lane has to wait for


@dataclass(frozen=True, slots=True)
class Portion:
    """At most `limit` records next; 0 < limit <= most."""

    most: int
    limit: int = 0  # set to `most` where it is not given
    suspect: Span | None = None  # something in it is bad: that is certain

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", self.limit or self.most)

    @property
    def cuts(self) -> bool:
        """Whether the next batch is to be cut to measure; else it goes as it is stored."""
        return self.suspect is not None or self.limit < self.most

    def of(self, available: int) -> int:
        """How many of so many that are at hand go into the next batch: at least one, if there is one."""
        half = (available + 1) // 2 if self.suspect is not None else available
        return min(self.limit, half)

    def too_large(self, count: int) -> "Portion":
        """After a batch of `count` records that was too large."""
        return replace(self, limit=max(1, min(self.limit, count // 2)))

    def refused(self, span: Span) -> "Portion":
        """After a batch of `span` of which a part is bad."""
        return replace(self, suspect=span)

    def done(self, span: Span, count: int, took_s: float = 0.0) -> "Portion":
        """After `span` was taken, or put aside: at most about `count` records, in so many seconds."""
        if took_s > 2 * AIM_S:
            limit = max(min(LEAST, self.limit), min(self.limit, int(count * AIM_S / took_s)))
        else:
            limit = min(self.most, self.limit + self.limit // 8 + 1) if took_s < AIM_S else self.limit
        left = self.suspect.without(span) if self.suspect is not None else ()
        return replace(self, limit=limit, suspect=left[-1] if left else None)

    def cleared(self) -> "Portion":
        """After the bad one was found and put aside."""
        return replace(self, suspect=None)
