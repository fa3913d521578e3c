"""The hub's word on this gateway, put together: heartbeats, commands, and a configuration on trial."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping

from gateway import __version__, configreport, trial
from gateway.buffer.buffer import Buffer
from gateway.buffer.reserve import disk_bytes
from gateway.config import Config
from gateway.core import document
from gateway.core.errors import ConfigError, StorageError
from gateway.core.model import CommandEnd, Event
from gateway.core.redacting import KEPT, filled, text_of
from gateway.core.status import DeviceState, SiteState
from gateway.executors import Configurer, changer, comparer, resender, restarter
from gateway.health import faults, problems, silent
from gateway.loadconfig import read_text
from gateway.timekeeping import Timekeeper
from gateway.trial import Trial, Trials
from gateway.uplink import Uplink
from sync.edge.commands import Commands
from sync.edge.heartbeat import Heartbeats
from sync.edge.reporting import Reporting
from sync.wire import Configuration, Heartbeat

WORDS_MAX = 500  # characters of one problem


class Control:
    """What one gateway does for its hub beside sending readings. Made inside a running loop."""

    def __init__(
        self, config: Config, trials: Trials, check: Callable[[str | None], Config], uplink: Uplink | None,
        buffer: Buffer, state: Callable[[], SiteState], clock: Timekeeper, restart: Callable[[], None],
    ) -> None:  # fmt: skip
        """`check` gives the configuration that a text (None: the file) would be, and raises ConfigError; `restart` may
        be called once all is on the disk."""
        self._config = config
        self._trials = trials
        self._check = check
        self._buffer = buffer
        self._state = state
        self._clock = clock
        self._restart = restart
        self._started_s = clock.monotonic_s()
        self._digest = trial.digest(trials.path.read_bytes())
        self._effective = ""  # digest of what is reported
        self._commands: Commands | None = None
        self._uplink = uplink
        self._jobs = {"trial": trial.watch(trials, self._lacks, self._judged, restart)}
        if uplink is not None and config.hub is not None:
            self._connect(uplink, config.hub.heartbeat_s)

    def jobs(self) -> Mapping[str, Coroutine[None, None, None]]:
        """By name; each runs until cancelled, or until there is nothing left to do."""
        return self._jobs

    def _connect(self, uplink: Uplink, every_s: float) -> None:
        heartbeats = Heartbeats(uplink.link, self.heartbeat, every_s=every_s)
        configurer = Configurer(self._trials, self._checked, self._trial, self._restart, fill=self._filled)
        executors = {
            "RESEND": resender(self._buffer, uplink.resend),
            "LEDGER": comparer(uplink.compare),
            "RESTART": restarter(lambda: self._checked(None), self._restart),
            "CONFIGURE": configurer.execute,
            "SECRET": changer(uplink.rotation.rotate),
        }
        on_trial = self._trials.current()
        self._commands = Commands(
            self._buffer.commands, self._buffer, self._clock, executors, heartbeats.acknowledge,
            pending=on_trial.command if on_trial else "",
        )  # fmt: skip
        uplink.link.hear(self._commands.heard)
        self._jobs |= {"heartbeats": heartbeats.run(), "commands": self._commands.run()}
        with contextlib.suppress(ConfigError):  # somebody changed the files meanwhile: the next start tells it
            report = configreport.describe(self._trials.path)
            self._effective = configreport.digest(report)
            reporting = Reporting(uplink.link, Configuration(self._effective, report))
            uplink.link.hear(reporting.heard)
            self._jobs["configuration's report"] = reporting.run()

    async def heartbeat(self) -> Heartbeat:
        """How the gateway is; never fails, whatever its disk does."""
        if self._uplink is not None:
            with contextlib.suppress(StorageError):  # the problems say so
                await self._uplink.restored()  # the first one goes as early as that
        state = self._state()
        records = next((stream for stream in state.sync.streams if stream.name == "records"), None)
        disk_free, disk_total = await asyncio.to_thread(disk_bytes, self._buffer.path.parent)
        return Heartbeat(
            version=__version__, now=self._clock.wall_ms(),
            uptime_s=round(self._clock.monotonic_s() - self._started_s, 1), clock=state.clock.source,
            config=self._digest, effective=self._effective, backlog=state.sync.backlog,
            oldest=records.oldest if records else 0,
            quarantined=state.sync.quarantined, disk_free=disk_free, disk_total=disk_total,
            buffer_bytes=state.buffer.bytes, problems=_short(problems(state)),
            faults=_short(faults(state)), silent=silent(state),
        )  # fmt: skip

    def _checked(self, text: str | None) -> None:
        """Raises ConfigError for a configuration that could not be used, or would leave the backlog behind."""
        if self._check(text).buffer.path != self._config.buffer.path:
            raise ConfigError(
                "buffer.path: it cannot be changed from afar, for what is not sent yet would stay behind",
                hint=f"leave it at {self._config.buffer.path}",
            )

    def _filled(self, text: str) -> str:
        """The text with the site's own secrets where it says so. Raises ConfigError."""
        if KEPT not in text:
            return text
        name = self._trials.path.name
        present = document.parse(read_text(self._trials.path), name)
        return text_of(filled(document.parse(text, name), present))

    def _trial(self, command_id: str, digest: str) -> Trial:
        """What works now, to be reached again."""
        state, polled = self._state(), self._polled()
        answering = tuple(device.name for device in polled if device.presence == "online")
        return Trial(command_id, digest, state.sync.connected, answering, len(polled))

    def _polled(self) -> list[DeviceState]:
        """Those that are asked; those that send by themselves may do so in a quarter of an hour."""
        return [device for device in self._state().devices if device.bus]

    def _lacks(self, trial: Trial, time_is_over: bool) -> str:
        """See `trial.watch`; at its end, a device that was not asked yet is not blamed."""
        polled = self._polled()
        good = ("online", "starting") if time_is_over else ("online",)
        answering = {device.name for device in polled if device.presence in good}
        names = {device.name for device in polled}
        return trial.lacks(hub=self._state().sync.connected, answering=answering, polled=names)

    async def _judged(self, trial: Trial) -> None:
        """Tell how a trial went. Raises StorageError."""
        kept, now = trial.verdict == "kept", self._clock.wall_ms()
        state: CommandEnd = "done" if kept else "failed"
        words = trial.why if kept else f"the configuration before it is back: {trial.why}"
        kind = "configuration_applied" if kept else "configuration_rolled_back"
        self._buffer.put_event(Event(now, kind, detail=trial.why))
        await self._buffer.flushed()
        await self._buffer.commands.end_later(trial.command, state, words, now)
        if self._commands is not None:
            await self._commands.tell()


def _short(sentences: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(words[:WORDS_MAX] for words in sentences)
