"""What the engine needs of a transport, and how one says that a batch did not go through."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.core.errors import PushError
from sync.wire import Answer, BatchType, Cursor


class LayoutsWanted(PushError):
    """The hub does not know these layouts (hexadecimal ids); nothing was stored."""

    def __init__(self, wanted: list[str]) -> None:
        super().__init__(f"the hub asks for {len(wanted)} layouts")
        self.wanted = wanted


class HubRefused(PushError):
    """Something is there and says no to whatever we send: a wrong secret, a proxy."""


class BatchRefused(PushError):
    """The hub itself says that this batch is not what it should be; a part of it may be."""


class BatchTooLarge(PushError):
    """It is to be sent in smaller pieces."""


class HubBusy(PushError):
    """The hub asks to come back later; `retry_after_s` is 0 where it does not say when."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, hint="nothing to do: it is tried again by itself")
        self.retry_after_s = retry_after_s


class LaneFull(HubBusy):
    """What is of this lane finds no room on the way; other lanes may."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 0)


Hear = Callable[[Answer], Awaitable[None]]


class Transport(Protocol):
    """Carries batches to the hub, and what the hub says by itself from it."""

    name: str
    kind: str  # https or amqp: what carries at present

    async def push(self, batch_type: BatchType, cursor: Cursor, body: bytes, *, live: bool = False) -> Answer:
        """Deliver one batch; it is the hub's when this returns. Raises PushError otherwise.

        `live`: it is of the live lane; where batches can queue on the way, it is not to queue behind a backlog.
        """
        ...

    async def run(self, hear: Hear) -> None:
        """Hand over what the hub says beside its answers. Run until cancelled."""
        ...

    async def close(self) -> None: ...
