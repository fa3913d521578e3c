"""What people can ask of the way to the hub, beside what the page shows by itself."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from gateway.buffer.buffer import Buffer
from gateway.buffer.quarantine import NEWEST, Quarantined
from gateway.core.model import Event, Layout, Raw, readings_of
from gateway.core.status import RefusedLine

AT_ONCE = 500


class Way(Protocol):
    """What the desk needs of `gateway.uplink.Uplink`."""

    def compare(self) -> None:
        """Have both ends compared soon."""
        ...

    def carry_out(self) -> Generator[bytes, None, None]:
        """A file of all that the hub lacks, piece by piece; slow. Raises StorageError."""
        ...

    async def take_receipt(self, receipt: bytes) -> str:
        """Send no more what the hub has by such a file; says how much. Raises CodecError."""
        ...


class SyncDesk:
    """Meets `local_ui.sync.SyncDoor`."""

    def __init__(self, buffer: Buffer, way: Way) -> None:
        self._buffer = buffer
        self._way = way

    async def refused(self, limit: int, below: int = NEWEST) -> list[RefusedLine]:
        """See `local_ui.sync.SyncDoor`; those with an id below that."""
        entries = await self._buffer.quarantine.entries(limit, below)
        return [refused_line(entry, self._buffer.layouts) for entry in entries]

    async def all_refused(self) -> AsyncGenerator[RefusedLine, None]:
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
        self._way.compare()

    async def carry_out(self) -> AsyncGenerator[bytes, None]:
        """See `local_ui.sync.SyncDoor`."""
        loop, pieces = asyncio.get_running_loop(), self._way.carry_out()
        thread = ThreadPoolExecutor(1, "carry-out")  # one thread for all pieces: SQLite wants it so
        try:
            while (piece := await loop.run_in_executor(thread, next, pieces, None)) is not None:
                yield piece
        finally:
            thread.submit(pieces.close)
            thread.shutdown(wait=False)

    async def take_receipt(self, receipt: bytes) -> str:
        """See `local_ui.sync.SyncDoor`."""
        return await self._way.take_receipt(receipt)


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
