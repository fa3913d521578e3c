"""Waiting for a state instead of an event: a ring that came early is not missed."""

import asyncio


class Bell:
    """A number that only grows, and those who wait for it to."""

    def __init__(self, reached: int = 0) -> None:
        self.reached = reached
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self, reached: int) -> None:
        """Wake everybody; a smaller number than before changes nothing."""
        self.reached = max(self.reached, reached)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_beyond(self, seen: int) -> int:
        """The number reached, as soon as it is above `seen`."""
        while self.reached <= seen:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)
        return self.reached
