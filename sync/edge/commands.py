"""Commands: kept first, then acknowledged, then executed, at most once each; how they end is an event.

It does not matter which way a command came, how often, or in which answer: its id is what it is known by.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from gateway.core.clock import Clock
from gateway.core.errors import HoldfastError, StorageError
from gateway.core.model import Command, CommandEnd, CommandResult, Event
from gateway.core.wording import utc_text
from sync.wire import Answer

EXECUTION_MAX_S = 600.0
STORAGE_PAUSE_S = 2.0
TIME_PATIENCE_S = 60  # after a start without a battery-backed clock
CUT_OFF = "the gateway was stopped while it was executed: nobody knows how far it went, and it is not repeated"
TIMELESS = "the gateway does not know what time it is, so it cannot tell whether the command comes too late"

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an execution led to."""

    words: str
    then: Callable[[], None] | None = None  # called once that is on the disk
    pending: bool = False  # there is no result yet: somebody else ends the command later


Executor = Callable[[Command], Awaitable[Outcome]]
"""Does what a command of its kind asks for. Raises HoldfastError where it failed, with the reason."""


class Store(Protocol):
    """What is kept of commands: `gateway.buffer.commands.Commands`. All methods raise StorageError."""

    async def keep(self, commands: Sequence[Command], now_ms: int) -> list[str]: ...
    async def waiting(self) -> list[Command]: ...
    async def start(self, command_id: str, now_ms: int) -> bool: ...
    async def cut_off(self, words: str, now_ms: int, *, pending: str = "") -> None: ...
    async def end(self, command: Command, state: CommandEnd, words: str, now_ms: int) -> None: ...
    async def untold(self) -> list[CommandResult]: ...
    async def told(self, ends: Sequence[CommandResult]) -> None: ...


class Events(Protocol):
    """Takes events, which reach the hub however long there is no way to it."""

    def put_event(self, event: Event) -> None: ...
    async def flushed(self) -> None: ...


class TimeSource(Clock, Protocol):
    @property
    def known(self) -> bool:
        """False while wall time is an estimate."""
        ...


class Commands:
    """Takes commands from the hub's answers and executes them one after the other."""

    def __init__(
        self, store: Store, events: Events, clock: TimeSource, executors: Mapping[str, Executor],
        acknowledge: Callable[[Sequence[str], bool], None], *, pending: str = "",
        time_patience_s: int = TIME_PATIENCE_S,
    ) -> None:  # fmt: skip
        """`acknowledge` gets the ids that came and whether one was new; `pending` is a command that was started before
        this process and is ended by somebody else."""
        self._time_patience_s = time_patience_s
        self._store = store
        self._events = events
        self._clock = clock
        self._executors = executors
        self._acknowledge = acknowledge
        self._pending = pending
        self._news = asyncio.Event()
        self._telling = asyncio.Lock()

    async def heard(self, answer: Answer) -> None:
        """Keep the commands of an answer. Raises StorageError: nothing is acknowledged, and they come again."""
        if not answer.commands:
            return
        new = await self._store.keep(answer.commands, self._clock.wall_ms())
        self._acknowledge([command.id for command in answer.commands], bool(new))
        if new:
            self._news.set()

    async def run(self) -> None:
        """Execute what is kept. Run until cancelled, or until a command ends the gateway."""
        await self._surely(lambda: self._store.cut_off(CUT_OFF, self._clock.wall_ms(), pending=self._pending))
        while True:
            self._news.clear()
            await self._surely(self.tell)
            for command in await self._surely(self._store.waiting):
                if not await self._execute(command):
                    return
            await self._news.wait()

    async def tell(self) -> None:
        """Put the events of what has ended, and see them to the disk. Raises StorageError."""
        async with self._telling:
            ends = await self._store.untold()
            for end in ends:
                detail = msgspec.json.encode(end).decode()
                self._events.put_event(Event(self._clock.wall_ms(), "command_result", detail=detail))
            if ends:
                await self._events.flushed()
                await self._store.told(ends)

    async def _execute(self, command: Command) -> bool:
        """Whether to go on."""
        await self._know_the_time()
        refused = self._refused(command)
        if refused is not None:
            await self._end(command, *refused)
        elif await self._surely(lambda: self._store.start(command.id, self._clock.wall_ms())):
            state, outcome = await self._outcome(command)
            if not outcome.pending:
                await self._end(command, state, outcome.words)
            if outcome.then is not None:
                outcome.then()
                return False
        return True

    async def _know_the_time(self) -> None:
        """The answer that brought the command may not have been enough; but there is a limit."""
        for _ in range(self._time_patience_s):
            if self._clock.known:
                return
            await asyncio.sleep(1)

    def _refused(self, command: Command) -> tuple[CommandEnd, str] | None:
        """Why it is not executed; None: it may be, now."""
        if command.kind not in self._executors:
            return "failed", f"this gateway does not know {command.kind}; it knows {', '.join(sorted(self._executors))}"
        if not self._clock.known:
            return "failed", TIMELESS
        if self._clock.wall_ms() > command.not_after:
            return "expired", f"it was to be executed by {utc_text(command.not_after)} and came later"
        return None

    async def _outcome(self, command: Command) -> tuple[CommandEnd, Outcome]:
        log.info("command", extra={"id": command.id, "kind": command.kind, "who": command.who})
        try:
            async with asyncio.timeout(EXECUTION_MAX_S):
                return "done", await self._executors[command.kind](command)
        except HoldfastError as error:
            return "failed", Outcome(error.in_full)
        except TimeoutError:
            return "unknown", Outcome(f"it did not end within {EXECUTION_MAX_S / 60:.0f} minutes")
        except Exception as error:  # a bug of ours, met from afar, must not end a gateway that reads and sends
            log.exception("command broke off", extra={"id": command.id, "kind": command.kind})
            return "unknown", Outcome(
                f"it broke off, and nobody knows how far it went: {error or type(error).__name__}"
            )

    async def _end(self, command: Command, state: CommandEnd, words: str) -> None:
        log.info("command ended", extra={"id": command.id, "state": state, "words": words})
        await self._surely(lambda: self._store.end(command, state, words, self._clock.wall_ms()))
        await self._surely(self.tell)

    async def _surely(self, step: Callable[[], Awaitable[T]]) -> T:
        """`step`, again and again until the disk takes it: what was executed must not be forgotten."""
        while True:
            try:
                return await step()
            except StorageError:
                await asyncio.sleep(STORAGE_PAUSE_S)
