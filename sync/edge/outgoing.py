"""What one stream still has to send: its spans, as the buffer keeps them and as its head moves on."""

from collections.abc import Iterable

from gateway.core.errors import StorageError
from gateway.core.span import Span
from sync.edge import spans as span_math
from sync.edge.outbox import Head, Kind, Outbox


class Outgoing:
    """The spans of the stream `name`, of the file's generation that `restore` met last."""

    def __init__(self, name: Kind, outbox: Outbox) -> None:
        self.generation = -1
        self.reached = 0  # the head, as far as it was looked at
        self._name = name
        self._outbox = outbox
        self._spans: span_math.Spans = ()
        self._again: list[Span] = []  # asked for before there was a file
        self._cuts: set[int] = set()  # seqs over which no batch goes

    @property
    def head(self) -> Head:
        return self._outbox.committed if self._name == "records" else self._outbox.events_committed

    @property
    def is_current(self) -> bool:
        """Whether these seqs still stand for what they stood for when `restore` was called."""
        return self.generation == self._outbox.generation

    @property
    def spans(self) -> span_math.Spans:
        """What the hub has not acknowledged; until `restore` was called, everything."""
        head = self.head.reached
        if not self.is_current:
            return span_math.normal([Span(0, head)])
        self._spans = span_math.grown(self._spans, self.reached, head)
        self.reached = head
        return self._spans

    async def restore(self) -> bool:
        """Take up what the buffer has kept, where it is not what we have; whether it was. Raises StorageError."""
        generation = self._outbox.generation
        if generation == self.generation:
            return False
        kept = await self._outbox.spans(self._name)
        if generation == self.generation:
            return False  # the other lane was quicker, and may have sent some of it
        self.reached = self.head.reached
        self._spans = span_math.restored(kept, self.reached)
        self.generation = generation
        self._cuts.clear()
        self._put_back()
        return True

    def front(self, left: span_math.Spans) -> tuple[Span, bool]:
        """Where to go on in `left`, which is not empty; and whether nothing beyond may go with it."""
        span = span_math.oldest(left)
        cuts = [cut for cut in self._cuts if span.lo <= cut <= span.hi]
        return Span(span.lo, min((cut for cut in cuts if cut > span.lo), default=span.hi)), bool(cuts)

    def divide(self, span: Span, at: int) -> None:
        """Send `span` once more, in two batches at least: a part of it is bad."""
        self._cuts |= {span.lo, at, span.hi}
        self.resend([span])

    def resend(self, spans: Iterable[Span]) -> None:
        """Send these once more."""
        self._again += spans
        if self.is_current:
            self._put_back()

    def _put_back(self) -> None:
        if self._again:
            for again in self._again:
                self._spans = span_math.resent(self.spans, again.within(Span(0, self.reached)))
            self._again = []
            self._keep()

    def done(self, span: Span) -> None:
        """The hub has it, or it is in quarantine; what `restore` has not met yet is another file's.

        No batch goes over a cut: where one is within, the hub has refused the batch before it counted as delivered.
        """
        if self.is_current and not any(span.lo < cut < span.hi for cut in self._cuts):
            self._spans = span_math.without(self.spans, span)
            self._cuts = {cut for cut in self._cuts if not span.lo <= cut < span.hi}
            self._keep()

    async def acknowledged(self, epoch: str, spans: Iterable[Span]) -> span_math.Spans:
        """The hub has these, of the buffer of this epoch, by another way; what is left. Raises StorageError."""
        kept = await self._outbox.spans(self._name)
        if self._outbox.epoch != epoch:
            raise StorageError("the buffer has become another one meanwhile", hint="nothing is lost: all is sent again")
        left = self.spans if self.is_current else span_math.restored(kept, self.head.reached)
        for span in spans:
            left = span_math.without(left, span)
        if self.is_current:
            self._spans = left
        self._outbox.keep_spans(self._name, span_math.stored(left, self.head.reached))
        return left

    def _keep(self) -> None:
        self._outbox.keep_spans(self._name, span_math.stored(self._spans, self.reached))
