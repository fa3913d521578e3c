"""What the hub's commands do on this gateway, by kind."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Protocol

import msgspec

from gateway.core.errors import ConfigError, HoldfastError
from gateway.core.model import Command
from gateway.core.span import Span
from gateway.trial import Trial, Trials, digest
from sync.edge.commands import Executor, Outcome

ALL = "all"
Ms = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of RESEND: when it was measured, milliseconds since 1970 UTC; `until` is not in it."""

    since: Ms
    until: Ms


class History(Protocol):
    """Where the records are, by seq. Raises StorageError."""

    @property
    def head(self) -> int: ...
    async def spans_between(self, since_ms: int, until_ms: int) -> list[Span]: ...


def resender(history: History, resend: Callable[[Sequence[Span]], None]) -> Executor:
    """RESEND: records of a time, or all, are sent once more; the hub keeps each once."""

    async def execute(command: Command) -> Outcome:
        if command.body.strip() == ALL:
            spans = [Span(0, history.head)]
        else:
            try:
                wanted = msgspec.json.decode(command.body, type=Range)
            except msgspec.MsgspecError as error:
                hint = 'expected {"since": MS, "until": MS} or all'
                raise HoldfastError(f"body: {error}", hint=hint) from error
            spans = await history.spans_between(wanted.since, wanted.until)
        resend(spans)
        return Outcome(f"{sum(map(len, spans))} records are sent once more")

    return execute


def comparer(compare: Callable[[], None]) -> Executor:
    """LEDGER: what both ends hold is compared now."""

    async def execute(command: Command) -> Outcome:
        compare()
        return Outcome("the comparison has begun")

    return execute


def restarter(check: Callable[[], None], restart: Callable[[], None]) -> Executor:
    """RESTART: the gateway ends, and starts again. `check` raises ConfigError where it could not."""

    async def execute(command: Command) -> Outcome:
        await asyncio.to_thread(check)
        return Outcome("the gateway starts again", then=restart)

    return execute


def changer(rotate: Callable[[], Awaitable[str]]) -> Executor:
    """SECRET: the gateway goes over to another secret."""

    async def execute(command: Command) -> Outcome:
        return Outcome(await rotate())

    return execute


class Configurer:
    """CONFIGURE: another site.yaml, on trial."""

    def __init__(
        self, trials: Trials, check: Callable[[str], None], now: Callable[[str, str], Trial],
        restart: Callable[[], None], *, fill: Callable[[str], str] = str,
    ) -> None:  # fmt: skip
        """`check` raises ConfigError; `now` makes of id and digest a trial that has to reach what works now; `fill`
        puts the site's secrets where the text leaves them to it, and raises ConfigError."""
        self._trials = trials
        self._check = check
        self._now = now
        self._restart = restart
        self._fill = fill

    async def execute(self, command: Command) -> Outcome:
        """See `sync.edge.commands.Executor`."""
        if self._trials.current() is not None:
            raise ConfigError("another configuration is on trial", hint="send it again in some minutes")
        text = await asyncio.to_thread(self._fill, command.body)
        await asyncio.to_thread(self._check, text)
        try:
            same = text.encode() == await asyncio.to_thread(self._trials.path.read_bytes)
        except OSError as error:
            raise ConfigError(f"{self._trials.path}: cannot be read: {error.strerror}") from error
        if same:
            return Outcome("it is the configuration already")
        await asyncio.to_thread(self._trials.begin, text, self._now(command.id, digest(text.encode())))
        return Outcome("", then=self._restart, pending=True)
