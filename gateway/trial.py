"""A configuration on trial: what worked before must work again within five minutes, or the old one comes back.

Three files: `site.yaml`; beside it `site.yaml.before`, the one before; and as long as nobody was told how it went,
`site.yaml.trial`, which says what is to work again and, once that is known, the verdict. A process that finds
itself started with a trial that has no verdict was killed or crashed meanwhile: that is a verdict, too.
"""

import asyncio
import hashlib
import logging
import shutil
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Literal

import msgspec

from gateway.core.errors import HoldfastError, StorageError
from gateway.newfile import new_file, sync

TRIAL_S = 300.0
LOOK_S = 1.0
PAUSE_S = 60.0  # until a disk that takes nothing is tried again
CUT_SHORT = "the gateway was stopped, or crashed, before it had shown that it works"

log = logging.getLogger(__name__)


class Trial(msgspec.Struct, frozen=True):
    """What `site.yaml.trial` says."""

    command: str  # the id of the one that brought it
    digest: str  # of the configuration on trial
    hub: bool  # whether the hub was reached before
    answering: tuple[str, ...]  # devices on buses that answered before
    polled: int  # devices on buses there were before
    verdict: Literal["", "kept", "rolled back"] = ""
    why: str = ""

    def lacks(self, *, hub: bool, answering: Collection[str], polled: Collection[str]) -> str:
        """What was there before and is not now, in words; empty: nothing.

        A device that is no longer configured need not answer; but as many must as before, less those taken out:
        devices that are only called otherwise by now still count.
        """
        if self.hub and not hub:
            return "the hub is not reached any more"
        if silent := [device for device in self.answering if device in polled and device not in answering]:
            return f"{', '.join(silent)} answered before, and not any more"
        expected = len(self.answering) - max(0, self.polled - len(polled))
        if len(answering) < expected:
            return f"{len(answering)} devices answer where at least {expected} should"
        return ""


class Trials:
    """The files beside the configuration `path`. What writes them raises StorageError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = path.with_name(f"{path.name}.before")
        self._trial = path.with_name(f"{path.name}.trial")

    def current(self) -> Trial | None:
        """The trial that is under way, or of which nobody was told how it went."""
        try:
            return msgspec.json.decode(self._trial.read_bytes(), type=Trial)
        except (OSError, msgspec.MsgspecError):
            return None

    def begin(self, text: str, trial: Trial) -> None:
        """Put `text` in the place of the configuration, on trial."""
        self._write(self._before, self.path.read_bytes())
        self._note(trial)
        try:
            self._write(self.path, text.encode())
        except HoldfastError:
            self.forget()
            raise

    def recover(self) -> None:
        """To be called when the process starts: what is on trial without a verdict did not pass."""
        self.roll_back(CUT_SHORT)

    def roll_back(self, why: str) -> bool:
        """Put the old configuration back; whether there was one to put back, and the disk took it."""
        trial = self.current()
        if trial is None or trial.verdict:
            return False
        try:
            if digest(self.path.read_bytes()) == trial.digest:
                self._write(self.path, self._before.read_bytes())
            else:
                why += "; the file was changed by somebody meanwhile, and is left as it is"
            self._note(msgspec.structs.replace(trial, verdict="rolled back", why=why))
        except (HoldfastError, OSError) as error:
            log.error("configuration not rolled back", extra={"why": str(error)})
            return False
        log.warning("configuration rolled back", extra={"why": why})
        return True

    def keep(self) -> None:
        """The configuration on trial is the configuration."""
        if (trial := self.current()) is not None:
            self._note(msgspec.structs.replace(trial, verdict="kept", why="all that worked before works"))

    def forget(self) -> None:
        """Everybody knows how it went."""
        self._trial.unlink(missing_ok=True)
        sync(self._trial.parent)

    def _note(self, trial: Trial) -> None:
        self._write(self._trial, msgspec.json.encode(trial))

    def _write(self, path: Path, content: bytes) -> None:
        """As readable as the configuration is: there may be secrets in it."""
        with new_file(path, force=True) as part:
            part.touch(mode=0o600)
            shutil.copymode(self.path, part)
            part.write_bytes(content)


def digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


async def watch(
    trials: Trials, lacks: Callable[[Trial, bool], str], tell: Callable[[Trial], Awaitable[None]],
    restart: Callable[[], None],
) -> None:  # fmt: skip
    """See a trial to its end, and tell of it; return at once where there is none.

    `lacks` says what is missing yet; asked with True, what has had no time to show itself is not.
    """
    while (trial := trials.current()) is not None:
        try:
            if trial.verdict:
                await tell(trial)
                trials.forget()
            elif not (why := await _lacking(trial, lacks)):
                trials.keep()
            elif trials.roll_back(why):
                restart()
                return
        except (StorageError, OSError) as error:
            log.warning("trial not ended yet", extra={"why": str(error)})
            await asyncio.sleep(PAUSE_S)


async def _lacking(trial: Trial, lacks: Callable[[Trial, bool], str]) -> str:
    """Empty as soon as nothing is missing; else what is, when the time is over."""
    for _ in range(round(TRIAL_S / LOOK_S)):
        if not lacks(trial, False):
            return ""
        await asyncio.sleep(LOOK_S)
    return lacks(trial, True)
