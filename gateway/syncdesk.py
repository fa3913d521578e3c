"""What people can ask of the way to the hub, beside what the page shows by itself."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from gateway.buffer.buffer import Buffer
from gateway.buffer.quarantine import NEWEST, Quarantined
from gateway.core.model import Event, Layout, Raw, readings_of
from gateway.core.status import RefusedLine

AT_ONCE = 500


class SyncDesk:
    """Meets `local_ui.sync.SyncDoor`."""

    def __init__(self, buffer: Buffer, compare: Callable[[], None]) -> None:
        """`compare` has both ends compared soon."""
        self._buffer = buffer
        self._compare = compare

    async def refused(self, limit: int, below: int = NEWEST) -> list[RefusedLine]:
        """See `local_ui.sync.SyncDoor`; those with an id below that."""
        entries = await self._buffer.quarantine.entries(limit, below)
        return [refused_line(entry, self._buffer.layouts) for entry in entries]

    async def all_refused(self) -> AsyncIterator[RefusedLine]:
        """See `local_ui.sync.SyncDoor`."""
        below = NEWEST
        while lines := await self.refused(AT_ONCE, below):
            for line in lines:
                yield line
            below = lines[-1].id

    async def send_again(self, ids: Sequence[int] | None) -> None:
        """See `local_ui.sync.SyncDoor`."""
        await self._buffer.quarantine.resend(ids)

    async def compare(self) -> None:
        """See `local_ui.sync.SyncDoor`."""
        self._compare()


def refused_line(entry: Quarantined, layouts: Mapping[bytes, Layout]) -> RefusedLine:
    """An entry as people see it."""
    layout = layouts.get(entry.layout or b"")
    device, what = (layout.device, layout.group) if layout else ("", "")
    content: dict[str, Raw | None] = {}
    with contextlib.suppress(ValueError):  # spoilt by a disk, or refused for being what no layout allows
        kept = entry.content
        if isinstance(kept, Event):
            device, what, content = kept.device, kept.kind, {"detail": kept.detail}
        elif layout is not None:
            content = {reading.key: reading.value for reading in readings_of(layout, kept)}
    return RefusedLine(
        entry.id, entry.kind, entry.epoch, entry.seq, entry.ts, device, what, entry.reason, entry.at, entry.again,
        content,
    )  # fmt: skip
