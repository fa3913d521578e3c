"""A half-open range of seq."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Records `lo <= seq < hi`."""

    lo: int
    hi: int

    def __len__(self) -> int:
        return max(0, self.hi - self.lo)

    def within(self, other: "Span") -> "Span":
        """The part that lies in `other` too; may be empty."""
        lo = max(self.lo, other.lo)
        return Span(lo, max(lo, min(self.hi, other.hi)))

    def without(self, done: "Span") -> tuple["Span", ...]:
        """What is left when `done` is taken out: nothing, one span or two.

        `done` may overlap, repeat or reach outside; it never adds anything.
        """
        if not done:
            return (self,) if self else ()
        left = Span(self.lo, min(self.hi, done.lo)), Span(max(self.lo, done.hi), self.hi)
        return tuple(span for span in left if span)
