"""What a line needs to know of a protocol: the bytes that ask, and how their answer is recognised."""

from typing import Protocol, TypeVar

A_co = TypeVar("A_co", covariant=True)


class Question(Protocol[A_co]):
    """One request on a half-duplex line, and the recogniser of its answer; pure."""

    @property
    def unit_id(self) -> int:
        """Who is asked; latency, quarantine and statistics are kept by it."""
        ...

    @property
    def frame(self) -> bytes:
        """What goes out."""
        ...

    @property
    def answer_bytes(self) -> int:
        """How long the answer will be, at most: the timeout is measured from where it can be complete."""
        ...

    def answer_in(self, inbox: bytes) -> A_co | None:
        """The answer anywhere in `inbox`, whatever noise or foreign frames stand around it; None: not yet."""
        ...
