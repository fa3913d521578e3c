"""What a node's configuration is and what it is to be: reports come in, desired ones go out as commands."""

import hashlib
from secrets import token_hex
from typing import Literal, Protocol

import msgspec

from gateway.core.clock import Clock
from gateway.core.configreport import ConfigReport, ConfigValue
from gateway.core.document import parse
from gateway.core.errors import ConfigError
from gateway.core.model import Command
from gateway.core.redacting import KEPT, canonical, is_secret
from sync import wire
from sync.hub.fleet import configdiff
from sync.hub.fleet.configstore import ConfigStore, Desired
from sync.hub.store.commandstore import CommandStore, heartbeat_of

REPORT_MAX = 512 * 1024  # bytes

WishState = Literal["pending", "on trial", "applied", "rolled back", "expired", "unknown", "superseded"]
STATES: dict[str, WishState] = {
    "queued": "pending", "taken": "on trial", "done": "applied", "failed": "rolled back", "expired": "expired",
    "unknown": "unknown",
}  # fmt: skip


class Wish(msgspec.Struct, frozen=True):
    """A desired configuration, and what became of it; times in milliseconds since 1970 UTC."""

    id: str  # of the command that brings it
    at: int
    by: str
    reason: str
    sha256: str
    state: WishState
    changed: int
    words: str  # the node's, or the hub's


class Reported(msgspec.Struct, frozen=True):
    """What the node said is in effect; `current`: its last heartbeat named the same."""

    at: int
    sha256: str  # of site.yaml on its disk
    text: str  # what site.yaml says, without secrets and comments
    values: tuple[ConfigValue, ...]
    cut: str
    current: bool


class Configuration(msgspec.Struct, frozen=True):
    """Both sides of one node. `differs`: what site.yaml says and what it is to say; `drift`: though it was applied."""

    node: str
    reported: Reported | None
    desired: Wish | None
    text: str  # the desired one
    differs: bool
    drift: bool
    diff: str  # unified, from reported to desired
    keys: tuple[configdiff.KeyDiff, ...]  # the same by keys
    history: tuple[Wish, ...]  # all desired ones, the newest first


class Orders(Protocol):
    """How a command gets to its node: `sync.hub.fleet.fleet.Fleet`."""

    async def order(self, node: str, command: Command) -> bool: ...


class Configurations:
    """All methods raise StorageError."""

    def __init__(self, store: ConfigStore, commands: CommandStore, orders: Orders, clock: Clock) -> None:
        self._store = store
        self._commands = commands
        self._orders = orders
        self._clock = clock

    async def lacks(self, node: str, digest: str) -> bool:
        """Whether the hub has to ask for the report of this digest."""
        return not await self._store.has(node, digest)

    async def take(self, node: str, cursor: wire.Cursor, body: bytes) -> wire.Answer:
        """A report; see `sync.hub.intake.door.Handler`."""
        if len(body) > REPORT_MAX:
            raise ValueError(f"a configuration's report of {len(body)} bytes; at most {REPORT_MAX}")
        told = msgspec.msgpack.decode(body, type=wire.Configuration)
        await self._store.report(node, told.digest, _without_secrets(told.report), self._clock.wall_ms())
        return wire.Answer(str(cursor), accepted=1)

    async def want(
        self, node: str, text: str, *, by: str, reason: str, now: int, not_after: int, command_id: str = ""
    ) -> str:
        """Have `node` try `text`; the id of the command. Once more with the same id changes nothing.

        Raises ConfigError for a text that no node could use.
        """
        configdiff.check(text)
        command_id = command_id or token_hex(8)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        await self._store.want(node, Desired(command_id, now, by, reason, sha256, "", 0, ""), text)
        await self.supersede(node, command_id, now)
        command = Command(command_id, "CONFIGURE", not_after, body=text, who=by, reason=reason)
        await self._orders.order(node, command)
        return command_id

    async def supersede(self, node: str, command_id: str, now: int) -> None:
        """Take back what was wanted before this command, where the node does not have it yet."""
        await self._store.supersede(node, command_id, now)

    async def site_text(self, node: str) -> str | None:
        """What the node's site.yaml says by its own word; None: it never told."""
        found = await self._store.reported(node)
        return found[1].text if found is not None and not found[1].cut else None

    async def of(self, node: str) -> Configuration:
        """Both sides of a node, compared."""
        await self._commands.queued(node, self._clock.wall_ms(), 1)  # what is too late says so
        found, wanted = await self._store.reported(node), await self._store.wanted(node)
        beat = await self._store.last_beat(node)
        reported = None
        if found is not None:
            at, report = found
            current = beat is not None and await self._store.has(node, _effective(beat[1]))
            reported = Reported(at, report.sha256, report.text, report.values, report.cut, current)
        history = tuple(_wish(one, is_newest=number == 0) for number, one in enumerate(wanted))
        text = await self._store.text(wanted[0].id) if wanted else ""
        if reported is None or reported.cut or not text:
            return Configuration(node, reported, history[0] if history else None, text, False, False, "", (), history)
        newest, told = wanted[0], reported.text
        differs = configdiff.differs(told, text)
        told_since = beat is not None and beat[0] > newest.changed
        return Configuration(
            node, reported, history[0], text, differs,
            differs and newest.state == "done" and reported.current and told_since,
            configdiff.by_line(told, text), tuple(configdiff.by_key(told, text)), history,
        )  # fmt: skip


def _without_secrets(report: ConfigReport) -> ConfigReport:
    """A gateway sends none; should one do so all the same, it is not kept. Raises ValueError."""
    values = tuple(
        msgspec.structs.replace(one, value=KEPT)
        if one.value is not None and is_secret(one.key.rpartition(".")[2])
        else one
        for one in report.values
    )
    try:
        return msgspec.structs.replace(report, text=canonical(parse(report.text, "site.yaml")), values=values)
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _wish(one: Desired, *, is_newest: bool) -> Wish:
    state = STATES[one.state]
    if not is_newest and one.state not in ("failed", "unknown"):
        state = "superseded"
    return Wish(one.id, one.at, one.by, one.reason, one.sha256, state, one.changed, one.words)


def _effective(body: bytes) -> str:
    beat = heartbeat_of(body)
    return beat.effective if beat is not None else ""
