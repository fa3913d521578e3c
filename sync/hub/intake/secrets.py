"""Which secrets are good: what every door for nodes asks at each request, so that nothing is remembered too long."""

from collections.abc import Sequence
from typing import Protocol

from gateway.core import credential


class Secrets(Protocol):
    """Both raise StorageError."""

    async def of(self, node: str) -> Sequence[str]:
        """SHA-256 of each secret that is good just now, the newest first; none of a node that is unknown or revoked."""
        ...

    async def settle(self, node: str, newest: str) -> None:
        """The node has come with its newest secret: those before it are good no more."""
        ...


async def admits(secrets: Secrets, node: str, secret: str) -> bool:
    """Whether `node` has this secret; for a node that is not there as slow, and no. Raises StorageError."""
    good = await secrets.of(node)
    fits = [credential.matches(secret, one) for one in good or (None,)]
    if fits[0] and len(good) > 1:
        await secrets.settle(node, good[0])
    return any(fits)
