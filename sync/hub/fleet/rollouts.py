"""Roll-outs: a configuration or a release goes out wave by wave, and stops by itself where nodes fall ill."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from secrets import token_hex
from typing import Protocol

import msgspec

from gateway.core.clock import Clock
from gateway.core.document import overlay, parse
from gateway.core.errors import ConfigError
from gateway.core.model import Command
from gateway.core.redacting import text_of
from sync.hub.fleet import configdiff, rolloutplan
from sync.hub.fleet.configurations import Configurations
from sync.hub.fleet.rolloutplan import Finish, Order, Stop
from sync.hub.fleet.rolloutstore import Candidate, Rollout, RolloutNode, RolloutStore, Spec, Target
from sync.hub.store.commandstore import CommandStore
from sync.hub.store.contract import ONLINE_MS
from sync.hub.web.rights import NOWHERE, Place

EVERY_S = 5.0  # between two looks at those that run
MOVED = "it stands elsewhere by now"
SOURCE, CONFIGURE = "site.yaml", "CONFIGURE"
Alerts = Mapping[str, tuple[str, ...]]
Standing = Callable[[], Awaitable[Alerts]]
"""Gives the alerts that stand, in words, by node. Raises StorageError."""

log = logging.getLogger(__name__)


class Announce(Protocol):
    """Tells nodes at once what was queued for them: `sync.hub.fleet.fleet.Fleet`."""

    def announce(self, node: str, command: Command) -> None: ...


class Rollouts:
    """All methods raise StorageError."""

    def __init__(
        self, store: RolloutStore, configurations: Configurations, commands: CommandStore, fleet: Announce,
        clock: Clock, standing: Standing | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._configurations = configurations
        self._commands = commands
        self._fleet = fleet
        self._clock = clock
        self._standing = standing

    async def begin(self, spec: Spec, nodes: Sequence[Candidate], by: str, *, undoes: str = "") -> str:
        """Make one over these nodes, which begins with those that are online; its id.

        Raises ConfigError and ValueError for what cannot be rolled out.
        """
        _check(spec, len(nodes), bool(undoes))
        now, rollout_id = self._clock.wall_ms(), token_hex(8)
        first = sorted(nodes, key=lambda one: (now - one.last_seen >= ONLINE_MS, one.node))
        sizes = rolloutplan.wave_sizes(spec.waves, len(nodes))
        waves = [wave for wave, size in enumerate(sizes) for _ in range(size)]
        targets = [
            Target(one.node, wave, command_id(rollout_id, one.node)) for one, wave in zip(first, waves, strict=True)
        ]
        place = common_place([one.place for one in nodes])
        rollout = Rollout(
            rollout_id, place.organisation, place.site, by, now, now, "running", "", undoes, spec, len(nodes), 0, 0
        )
        await self._store.create(rollout, targets)
        log.info("roll-out begun", extra={"id": rollout_id, "kind": spec.kind, "nodes": len(nodes), "who": by})
        return rollout_id

    async def undo(self, rollout: Rollout, by: str) -> str:
        """Make one that puts back what its nodes had before; its id. Raises ValueError where there is nothing."""
        got = {
            one.node for one in await self._store.nodes(rollout.id)
            if one.had_text and one.state in ("taken", "done", "unknown")
        }  # fmt: skip
        if rollout.state in ("running", "paused"):
            raise ValueError("stop it first")
        if not got:
            raise ValueError("no node has got another configuration by it")
        nodes = [one for one in await self._store.candidates("", "") if one.node in got and rollout.reaches(one.place)]
        if not nodes:
            raise ValueError("its nodes stand elsewhere by now")
        spec = msgspec.structs.replace(rollout.spec, patch="", text="", reason=f"undoes {rollout.id}")
        return await self.begin(spec, nodes, by, undoes=rollout.id)

    async def turn(self, now: int) -> None:
        """Do what is due in all that run; a chore."""
        running = await self._store.running()
        alerts = await self._standing() if running and self._standing is not None else {}
        for rollout_id in running:
            rollout = await self._store.one(rollout_id)
            if rollout is not None:
                await self._step(rollout, alerts, now)

    async def _step(self, rollout: Rollout, alerts: Alerts, now: int) -> None:
        nodes = {one.node: one for one in await self._looked_at(rollout, alerts, now)}
        members = [one.member for one in nodes.values()]
        spec = rollout.spec
        acts = rolloutplan.next_acts(members, ill_max=spec.ill_max, soak_ms=round(spec.soak_s * 1000), now=now)
        for act in acts:
            match act:
                case Order(node):
                    await self._order(rollout, nodes[node], alerts, now)
                case Stop(why):
                    log.warning("roll-out stopped", extra={"id": rollout.id, "why": why})
                    await self._store.move(rollout.id, "running", "stopped", why, now)
                case Finish():
                    await self._store.move(rollout.id, "running", "done", "", now)

    async def _looked_at(self, rollout: Rollout, alerts: Alerts, now: int) -> list[RolloutNode]:
        """Its nodes, with those that have fallen ill since."""
        return [await self._looked_at_one(rollout, one, alerts, now) for one in await self._store.nodes(rollout.id)]

    async def _looked_at_one(self, rollout: Rollout, one: RolloutNode, alerts: Alerts, now: int) -> RolloutNode:
        if one.ill:
            return one
        if not rollout.reaches(one.place):  # others decide of it by now, and how it does is not for us to tell
            if one.member.ended is not None:
                return one
            await self._store.ill(rollout.id, one.node, MOVED)
            return msgspec.structs.replace(one, ill=MOVED)
        if one.ordered is None or one.before is None:
            return one
        if one.state == "queued" and now > one.ordered + round(rollout.spec.valid_s * 1000):
            await self._commands.queued(one.node, now, 1)  # it expires by that, and is ill the next time
        health = one.health(now, alerts.get(one.node, ()))
        if why := rolloutplan.illness(one.before, health, one.state or "", one.words):
            await self._store.ill(rollout.id, one.node, why)
        return msgspec.structs.replace(one, ill=why)

    async def _order(self, rollout: Rollout, one: RolloutNode, alerts: Alerts, now: int) -> None:
        """Have one node get it, or fall ill where there is nothing that it could get."""
        try:
            kind, body, former = await self._content(rollout, one)
        except ConfigError as error:
            await self._store.ill(rollout.id, one.node, error.in_full)
            return
        reason, not_after = rollout.spec.reason or f"roll-out {rollout.id}", now + round(rollout.spec.valid_s * 1000)
        command = Command(one.command, kind, not_after, body=body, who=rollout.by, reason=reason)
        before = one.health(now, alerts.get(one.node, ()))
        if await self._store.order(rollout.id, one.node, command, now, before=before, former=former):
            if kind == CONFIGURE:
                await self._configurations.supersede(one.node, command.id, now)
            self._fleet.announce(one.node, command)

    async def _content(self, rollout: Rollout, one: RolloutNode) -> tuple[str, str, str | None]:
        """Kind and body of the command, and the text that the node has now. Raises ConfigError."""
        if rollout.spec.kind == "update":
            return "UPDATE", msgspec.json.encode({"release": rollout.spec.release}).decode(), None
        former = await self._configurations.site_text(one.node)
        text = await self._store.text(rollout.id, one.node) or new_text(rollout.spec, former)
        configdiff.check(text)
        return CONFIGURE, text, former


def command_id(rollout_id: str, node: str) -> str:
    """Always the same: a node gets each roll-out once, whichever process orders it."""
    return f"{rollout_id}:{hashlib.sha256(node.encode()).hexdigest()[:24]}"


def new_text(spec: Spec, former: str | None) -> str:
    """The site.yaml that a node is to have, which has `former` now. Raises ConfigError."""
    if spec.text:
        return spec.text
    if former is None:
        raise ConfigError("the node has not told its configuration yet", hint="it does with a heartbeat")
    return text_of(overlay(parse(former, SOURCE), parse(spec.patch, SOURCE)))


def common_place(places: Sequence[Place]) -> Place:
    """Where all of them stand; NOWHERE for those of several organisations, and of none."""
    organisations, sites = {one.organisation for one in places}, {one.site for one in places}
    if len(organisations) != 1:
        return NOWHERE
    return Place(organisations.pop(), sites.pop() if len(sites) == 1 else "")


def _check(spec: Spec, nodes: int, undoes: bool) -> None:
    if not nodes:
        raise ValueError("no node is meant by that")
    rolloutplan.wave_sizes(spec.waves, nodes)
    if spec.kind == "update":
        if not spec.release or spec.patch or spec.text:
            raise ValueError("an update has a release, and no text")
        return
    if undoes:
        return
    if spec.release or bool(spec.patch.strip()) == bool(spec.text.strip()):
        raise ValueError("a configuration has either a patch or, for one node, a text")
    if spec.text and nodes > 1:
        raise ValueError(f"the same text is not for {nodes} nodes: give a patch, which is laid over each one's own")
    configdiff.check(spec.patch or spec.text)
