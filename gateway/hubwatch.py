"""A running gateway takes what `holdfast enrol` wrote beside its configuration."""

import asyncio
import logging
from collections.abc import Callable

from gateway.core.errors import HoldfastError
from gateway.hubfile import HubFile

LOOK_S = 2.0
log = logging.getLogger(__name__)


async def watch(
    file: HubFile, check: Callable[[], object], restart: Callable[[], None], *, look_s: float = LOOK_S
) -> None:
    """Call `restart` when another program has written to `file` what `check` accepts. Run until cancelled.

    `check` raises HoldfastError for a configuration that cannot be used.
    """
    while True:
        await asyncio.sleep(look_s)
        try:
            if not await asyncio.to_thread(file.has_news):
                continue
            await asyncio.to_thread(check)
        except HoldfastError as error:
            log.warning("what is new about the hub cannot be used", extra={"why": error.in_full})
        else:
            log.info("what is new about the hub is taken", extra={"file": str(file.path)})
            restart()
