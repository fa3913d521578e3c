"""Opens the buffer's file, opens it again where it stays broken, and begins another where it is damaged."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.buffer import aside, checking
from gateway.buffer.outage import REOPEN_AFTER
from gateway.buffer.reading import EPOCH, HEAD
from gateway.buffer.repair import Repair
from gateway.buffer.taking import Taking
from gateway.core.database import Database
from gateway.core.diskwords import storage_error, takes_files
from gateway.core.errors import DamagedFileError, StorageError
from gateway.core.model import decode_layout
from gateway.core.wording import utc_text

UNKNOWN_EPOCH = 16 * "0"  # until the file has been read once
UNREAD_MAX = 5  # so many reading errors of a disk that takes other files: the file is damaged
CHECK_EVERY_S = 86_400
SET_ASIDE_PAUSE_S = 600  # a disk that spoils one file after the other shall not fill up with them

EVENTS_HEAD = "SELECT coalesce(max(seq), -1) + 1 FROM event"
LAYOUTS = "SELECT encoded FROM layout"


class Opening:
    """Makes the database fit to be used; `heal` may be called again and again."""

    def __init__(
        self, database: Database, taking: Taking, repair: Repair, loaders: Sequence[Callable[[], Awaitable[None]]]
    ) -> None:
        """`loaders` read what else is kept in the file, once it is open."""
        self.epoch = UNKNOWN_EPOCH
        self.generation = 0  # grows when the spans that are kept are others than those last heard of
        self.new_file = False  # the file was begun by the last `heal`
        self._database = database
        self._taking = taking
        self._repair = repair
        self._loaders = loaders
        self._set_aside_s = -float(SET_ASIDE_PAUSE_S)  # monotonic, when that was done last

    async def heal(self) -> None:
        """Open the file where it is not open or stays broken; begin another for a damaged one. Raises StorageError."""
        database = self._database
        if database.unread >= UNREAD_MAX and await asyncio.to_thread(takes_files, database.path.parent):
            database.damage = database.damage or "the disk cannot read it any more"
        stuck = database.suspect and self._taking.outage.failures >= REOPEN_AFTER
        if database.connected and not stuck and not database.damage:
            return
        try:
            if not database.damage:
                with contextlib.suppress(DamagedFileError):
                    await self._attach()
                    return
            await self._set_aside()
            await self._attach()
        except StorageError as error:
            self._taking.failed(error)
            raise

    async def _attach(self) -> None:
        """Open the file, and read what it has of the stream. Raises StorageError."""
        path = self._database.path
        async with self._taking.committing:
            try:
                await asyncio.to_thread(aside.finish_interrupted, path)
                await self._database.connect()
                self.new_file = await self._repair.prepare(self._taking.head)
            except OSError as error:
                raise storage_error(path, error) from error
            except StorageError:
                with contextlib.suppress(StorageError):
                    await self._load(writable=False)  # what cannot be written may be read, and sent
                raise
            await self._load(writable=True)

    async def _load(self, *, writable: bool) -> None:
        epochs = await self._database.fetch(EPOCH)
        if not epochs:
            raise StorageError(f"{self._database.path}: begun and not finished")
        epoch = epochs[0][0]
        ((head,),), ((events_head,),) = await self._database.fetch(HEAD), await self._database.fetch(EVENTS_HEAD)
        if writable or epoch != self.epoch:  # else: a commit that failed may be seen here, and be on no disk
            self._taking.found(head, events_head, same_file=epoch == self.epoch)
        for (encoded,) in await self._database.fetch(LAYOUTS):
            try:
                layout = decode_layout(encoded)
            except msgspec.MsgspecError as error:
                self._database.damage = f"a layout that is none: {error}"
                raise DamagedFileError(f"{self._database.path}: {self._database.damage}") from error
            self._taking.layouts[layout.id] = layout
        if epoch != self.epoch:
            self._taking.begin_file()
            self.epoch = epoch
            self.generation += 1
        for load in self._loaders:
            await load()

    async def _set_aside(self) -> None:
        """Rename the damaged file. Raises StorageError, also where that was done just now."""
        path, why, clock = self._database.path, self._database.damage, self._taking.clock
        now_s = clock.monotonic_s()
        if now_s < self._set_aside_s + SET_ASIDE_PAUSE_S:
            raise StorageError(f"{path}: damaged again so soon: {why}", hint="replace the disk")
        async with self._taking.committing:
            await self._database.close()
            stamp = utc_text(clock.wall_ms(), "%Y%m%d-%H%M%S")
            try:
                name = (await asyncio.to_thread(aside.set_aside, path, stamp)).name
            except OSError as error:
                raise storage_error(path, error) from error
            self._database.damage, self._database.unread, self._set_aside_s = "", 0, now_s
        self._taking.tell("buffer_damaged", f"{why}; set aside as {name}, what can be read of it is carried over")

    async def check(self) -> None:
        """Look through the file now and once a day. Run until cancelled."""
        stop = threading.Event()
        try:
            while True:
                epoch = self.epoch
                damage = await asyncio.to_thread(checking.damage, self._database.path, stop)
                if damage and epoch == self.epoch:
                    self._database.damage = damage
                    self._taking.waiting.set()
                await asyncio.sleep(CHECK_EVERY_S)
        finally:
            stop.set()
