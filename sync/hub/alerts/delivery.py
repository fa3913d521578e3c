"""Brings notices to their receivers: a chore, so that one process of many sends."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Protocol

from gateway.core.clock import Clock
from sync.hub.alerts.notices import Message, delivery_of
from sync.hub.alerts.receivers import Receiver, Receivers
from sync.hub.alerts.settings import AlertsConfig
from sync.hub.alerts.webhook import DeliveryError
from sync.hub.store.chores import Chore

EVERY_S = 5.0
AT_ONCE = 8  # receivers
TURN_S = 5.0  # after so long nobody else is begun with: the chore's lease must outlast what is under way
OF_ONE_MESSAGE = 1000  # alerts
AGAIN_S, AGAIN_MOST_S = 30, 3600  # until a receiver that failed is tried again; doubled each time

log = logging.getLogger(__name__)


class Sender(Protocol):
    """A way to a receiver."""

    async def send(self, receiver: Receiver, message: Message) -> None:
        """Raises DeliveryError."""
        ...


class Delivery:
    """`ways`: by the receivers' kind; `url`: where people reach the hub."""

    def __init__(
        self, receivers: Receivers, ways: Mapping[str, Sender], config: AlertsConfig, clock: Clock,
        url: str | None = None,
    ) -> None:  # fmt: skip
        self._receivers = receivers
        self._ways = ways
        self._config = config
        self._clock = clock
        self._page = f"{url.rstrip('/')}/alerts" if url else ""

    def chores(self) -> Sequence[Chore]:
        return (Chore("notices", EVERY_S, self.turn),)

    async def turn(self, now: int) -> None:
        """Send what is due. Raises StorageError."""
        if dropped := await self._receivers.give_up(now - round(1000 * self._config.give_up_s)):
            log.warning("notices dropped", extra={"count": dropped})
        until_s = self._clock.monotonic_s() + TURN_S
        while self._clock.monotonic_s() <= until_s and (due := await self._receivers.due(now, AT_ONCE)):
            for result in await asyncio.gather(*map(self._tell, due), return_exceptions=True):
                if result is not None:
                    raise result

    async def _tell(self, one: Receiver) -> None:
        """All that waits in one message; after that, whether it went or not, the receiver is not due any more."""
        waiting = await self._receivers.waiting(one.id, OF_ONE_MESSAGE)
        message = Message(delivery_of(one.id, waiting), self._clock.wall_ms(), waiting, self._page)
        try:
            await self._ways[one.kind].send(one, message)
        except DeliveryError as error:
            if not one.failures:
                log.warning("receiver not reached", extra={"receiver": one.id, "why": error.in_full})
            again_s = min(AGAIN_S << min(one.failures, 20), AGAIN_MOST_S)
            await self._receivers.failed(one.id, error.in_full, self._clock.wall_ms() + 1000 * again_s)
        else:
            await self._receivers.went(one, waiting, self._clock.wall_ms())

    async def test(self, one: Receiver) -> str:
        """Send a test now, whatever else waits; why it did not go, empty where it did."""
        message = Message(token_hex(16), self._clock.wall_ms(), (), self._page, test=True)
        try:
            await self._ways[one.kind].send(one, message)
        except DeliveryError as error:
            return error.in_full
        return ""
