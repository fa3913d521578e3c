"""What the hub asks of its nodes, and what they say of themselves: commands and heartbeats.

A command is handed out until the node says that it has it: as the answer to a heartbeat, by long poll, or by what
`tell` is (the broker). Heartbeats hand out all that is queued, so that nothing depends on the other two.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.core.clock import Clock
from gateway.core.errors import HoldfastError
from gateway.core.model import Command, CommandResult, Event
from sync import wire
from sync.hub.store.commandstore import Beat, CommandStore

PASS_ON_MAX = 1000  # orders that wait for the broker; the rest goes with heartbeats
PASS_ON_S = 30.0  # an order that waited longer has gone with one
AT_ONCE = 50  # commands of one answer
LOOK_S = 5.0  # a long poll looks again so often: another process of the hub may have taken an order
AGAIN_S = 30.0  # a long poll repeats what the node was given so long ago and has not acknowledged
BEAT_MAX = 256 * 1024  # bytes
RESULT = "command_result"
SEQ_MAX = 1 << 62  # a backlog beyond it is no number of records

log = logging.getLogger(__name__)
Tell = Callable[[str, wire.Answer], Awaitable[None]]


class Fleet:
    """The hub's side of control, whichever transport carries it."""

    def __init__(
        self, store: CommandStore, clock: Clock, *, look_s: float = LOOK_S, pass_on_max: int = PASS_ON_MAX
    ) -> None:
        self.tell: Tell | None = None  # brings an answer to a node at once; raises HoldfastError where it cannot
        self.lacks: Callable[[str, str], Awaitable[bool]] | None = None  # of node and digest: its configuration
        self._store = store
        self._clock = clock
        self._look_s = look_s
        self._ordered: dict[str, asyncio.Event] = {}  # by node: somebody waits for an order
        self._to_pass_on: asyncio.Queue[tuple[str, Command, float]] = asyncio.Queue(pass_on_max)  # ordered when
        self._with_orders: set[str] = set()  # nodes
        self._looked_s = float("-inf")  # for all of them, monotonic
        self._looking = asyncio.Lock()
        self._given: dict[str, float] = {}  # by command: when a long poll brought it, monotonic

    async def order(self, node: str, command: Command) -> bool:
        """Have `node` carry out `command`; whether its id is new. Raises StorageError."""
        if not await self._store.order(node, command, self._clock.wall_ms()):
            return False
        self.announce(node, command)
        return True

    def announce(self, node: str, command: Command) -> None:
        """Tell whoever waits for it that `command` was queued."""
        log.info("command ordered", extra={"node": node, "id": command.id, "kind": command.kind, "who": command.who})
        if node in self._ordered:
            self._ordered[node].set()
        with contextlib.suppress(asyncio.QueueFull):
            if self.tell is not None:
                self._to_pass_on.put_nowait((node, command, self._clock.monotonic_s()))

    async def run(self) -> None:
        """Tell nodes at once what was ordered: a broker that is away holds up no order. Run until cancelled."""
        while True:
            node, command, ordered_s = await self._to_pass_on.get()
            if self.tell is None or self._clock.monotonic_s() > ordered_s + PASS_ON_S:
                continue
            try:
                await self.tell(node, wire.Answer(cursor="", commands=[command]))
            except HoldfastError as error:  # it goes with the next heartbeat
                log.warning("command not passed on yet", extra={"node": node, "id": command.id, "why": str(error)})

    async def heartbeat(self, node: str, cursor: wire.Cursor, body: bytes) -> wire.Answer:
        """See `sync.hub.intake.door.Handler`."""
        if len(body) > BEAT_MAX:
            raise ValueError(f"a heartbeat of {len(body)} bytes; at most {BEAT_MAX}")
        beat = msgspec.msgpack.decode(body, type=wire.Heartbeat)
        now = self._clock.wall_ms()
        backlog = max(0, min(beat.backlog, SEQ_MAX))
        await self._store.beat(Beat(node, now, msgspec.json.encode(beat), backlog, len(beat.problems)))
        if beat.taken:
            await self._store.taken(node, beat.taken, now)
        wanted = bool(beat.effective and self.lacks is not None and await self.lacks(node, beat.effective))
        commands = await self._store.queued(node, now, AT_ONCE)
        return wire.Answer(str(cursor), accepted=1, commands=commands, configuration_wanted=wanted)

    async def waiting(self, node: str, wait_s: float) -> list[Command]:
        """What the node is to do, as soon as there is something; nothing after `wait_s`. Raises StorageError."""
        until_s = self._clock.monotonic_s() + wait_s
        ordered = self._ordered.setdefault(node, asyncio.Event())
        while True:
            ordered.clear()
            now_s = self._clock.monotonic_s()
            self._given = {known: given for known, given in self._given.items() if given > now_s - AGAIN_S}
            queued = await self._store.queued(node, self._clock.wall_ms(), AT_ONCE)
            fresh = [command for command in queued if command.id not in self._given]
            if fresh or now_s >= until_s:
                self._given |= {command.id: now_s for command in fresh}
                return fresh
            while not ordered.is_set() and self._clock.monotonic_s() < until_s:
                try:
                    async with asyncio.timeout(min(self._look_s, until_s - self._clock.monotonic_s())):
                        await ordered.wait()
                except TimeoutError:
                    if await self._may_have(node):
                        break

    async def _may_have(self, node: str) -> bool:
        """Whether something is queued for `node`. Thousands wait: it is looked for all of them at once."""
        async with self._looking:
            now_s = self._clock.monotonic_s()
            if now_s > self._looked_s + self._look_s / 2:
                self._with_orders, self._looked_s = await self._store.nodes_with_orders(), now_s
        return node in self._with_orders

    async def happened(self, node: str, events: Sequence[Event]) -> None:
        """Take from a node's events how its commands ended. Raises StorageError; again changes nothing."""
        results = [result for event in events if event.kind == RESULT and (result := _result(event.detail))]
        if results:
            await self._store.ended(node, results, self._clock.wall_ms())


def _result(detail: str) -> CommandResult | None:
    """None for what is none: an event is kept all the same."""
    try:
        return msgspec.json.decode(detail, type=CommandResult)
    except msgspec.MsgspecError:
        return None
