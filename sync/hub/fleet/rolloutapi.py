"""Roll-outs over HTTP: make one, see how far it is, pause, resume, stop and undo it; and which releases run."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec

from gateway.core.errors import ConfigError
from sync.hub.fleet.rollouts import Rollouts
from sync.hub.fleet.rolloutstore import Candidate, Rollout, RolloutNode, RolloutStore, Spec, State, Wave
from sync.hub.people.acts import Acts
from sync.hub.web.api import NOT_THERE, ApiError, Call, Nothing, Route
from sync.hub.web.paging import ALL_TIME, Listed, Ms, Named, Paged, itself, listed, marked, name_before
from sync.hub.web.rights import Caller, Role

PATH, ONE = "/api/v1/rollouts", "/api/v1/rollouts/{rollout}"
CHUNK = 200


class NewRollout(Spec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Spec, and for whom: nodes by their ids, or all of a site, of an organisation, or everywhere."""

    nodes: Annotated[tuple[str, ...], msgspec.Meta(max_length=100_000)] = ()
    organisation: str = ""
    site: str = ""
    everywhere: bool = False

    def spec(self) -> Spec:
        return Spec(**{field: getattr(self, field) for field in Spec.__struct_fields__})


class RolloutDetail(msgspec.Struct, frozen=True):
    rollout: Rollout
    waves: tuple[Wave, ...]


class RolloutMember(msgspec.Struct, frozen=True):
    """`state`: of its command; None: not ordered yet. `ordered`, `changed`: milliseconds since 1970 UTC."""

    node: str
    wave: int
    command: str
    ordered: int | None
    ill: str
    state: str | None
    changed: int | None
    words: str


class Release(msgspec.Struct, frozen=True):
    """How many nodes run a release; an empty one: they never said."""

    version: str
    nodes: int


class Releases(msgspec.Struct, frozen=True):
    items: tuple[Release, ...]


class RolloutApi:
    def __init__(self, rollouts: Rollouts, store: RolloutStore, acts: Acts) -> None:
        self._rollouts = rollouts
        self._store = store
        self._acts = acts

    def routes(self) -> Sequence[Route[Any, Any]]:
        acts: list[tuple[str, str, Callable[[Call[Nothing, Nothing]], Awaitable[RolloutDetail]]]] = [
            ("pause", "Order nothing more for now", self._pause),
            ("resume", "Go on", self._resume),
            ("stop", "Order nothing more for good, and take back what no node has yet", self._stop),
            ("undo", "Make another roll-out that puts back what the nodes had before", self._undo),
        ]
        return (
            Route(
                method="POST", path=PATH, summary="Roll a configuration or a release out in waves",
                right=Role.OPERATOR, handle=self._post, query=Nothing, body=NewRollout, answer=RolloutDetail,
                status=201,
            ),
            Route(
                method="GET", path=PATH, summary="Roll-outs, the newest first", right=Role.VIEWER,
                handle=self._list, query=Paged, body=Nothing, answer=Listed[Rollout],
            ),
            Route(
                method="GET", path=ONE, summary="A roll-out, and how far each of its waves is", right=Role.VIEWER,
                handle=self.get, query=Nothing, body=Nothing, answer=RolloutDetail,
            ),
            Route(
                method="GET", path=f"{ONE}/nodes", summary="The nodes of a roll-out, by their ids", right=Role.VIEWER,
                handle=self._members, query=Paged, body=Nothing, answer=Listed[RolloutMember],
            ),
            *(
                Route(
                    method="POST", path=f"{ONE}/{act}", summary=summary, right=Role.OPERATOR, handle=handle,
                    query=Nothing, body=Nothing, answer=RolloutDetail, status=201 if act == "undo" else 200,
                )
                for act, summary, handle in acts
            ),
            Route(
                method="GET", path="/api/v1/releases", summary="How many nodes run which release", right=Role.VIEWER,
                handle=self.releases, query=Nothing, body=Nothing, answer=Releases,
            ),
        )  # fmt: skip

    async def _post(self, call: Call[Nothing, NewRollout]) -> RolloutDetail:
        wanted, nodes = call.body, await self._targets(call)
        try:
            rollout_id = await self._rollouts.begin(wanted.spec(), nodes, call.caller.name)
        except ConfigError as error:
            raise ApiError(400, error.in_full) from error
        except ValueError as error:
            raise ApiError(400, str(error)) from error
        detail = await self._detail(rollout_id)
        words = f"{wanted.kind} {wanted.release} for {len(nodes)} nodes: {wanted.reason}"
        await self._note(call, "begins a roll-out", detail.rollout, words)
        return detail

    async def _targets(self, call: Call[Nothing, NewRollout]) -> list[Candidate]:
        """The nodes that are meant, all of which the caller may act on. Raises ApiError."""
        wanted, caller = call.body, call.caller
        if not (wanted.nodes or wanted.organisation or wanted.site or wanted.everywhere):
            raise ApiError(400, "for whom: name nodes, a site or an organisation, or say everywhere: true")
        found = await self._store.candidates(wanted.organisation, wanted.site)
        if wanted.nodes:
            names = set(wanted.nodes)
            seen = [one for one in found if one.node in names and caller.may(Role.VIEWER, one.place)]
            if len(seen) != len(names):
                raise ApiError(*NOT_THERE)
        else:
            seen = [one for one in found if caller.may(Role.VIEWER, one.place)]
            if not seen:
                raise ApiError(NOT_THERE[0], "no node of yours to see stands there")
        if not all(caller.may(Role.OPERATOR, one.place) for one in seen):
            raise ApiError(403, f"that wants the role {Role.OPERATOR} for all of these nodes")
        return seen

    async def _list(self, call: Call[Paged, Nothing]) -> Listed[Rollout]:
        return await self.lines(call.caller, call.query.after, call.query.limit)

    async def lines(self, caller: Caller, after: str, limit: int) -> Listed[Rollout]:
        """The newest first, of those that `caller` may see. Raises ApiError for an `after` that is none."""
        created, last = marked(after, tuple[Ms, Named]) or (ALL_TIME, "")
        found: list[Rollout] = []
        while len(found) <= limit:
            rows = await self._store.older(created, last, CHUNK)
            found += [one for one in rows if caller.may(Role.VIEWER, one.place)]
            if len(rows) < CHUNK:
                break
            created, last = rows[-1].created, rows[-1].id
        return listed(found, limit, itself, lambda one: (one.created, one.id))

    async def get(self, call: Call[Any, Nothing]) -> RolloutDetail:
        rollout = await self.one(call, Role.VIEWER)
        return RolloutDetail(rollout, tuple(await self._store.waves(rollout.id)))

    async def _members(self, call: Call[Paged, Nothing]) -> Listed[RolloutMember]:
        rollout = await self.one(call, Role.VIEWER)
        return await self.members(rollout, call.query.after, call.query.limit)

    async def members(self, rollout: Rollout, after: str, limit: int) -> Listed[RolloutMember]:
        """By the nodes' ids. Raises ApiError for an `after` that is none."""
        rows = await self._store.nodes(rollout.id, name_before(after), limit + 1)
        return listed(rows, limit, _member, lambda row: (row.node,))

    async def _pause(self, call: Call[Nothing, Nothing]) -> RolloutDetail:
        return await self._move(call, ("running",), "paused", "pauses a roll-out")

    async def _resume(self, call: Call[Nothing, Nothing]) -> RolloutDetail:
        return await self._move(call, ("paused",), "running", "resumes a roll-out")

    async def _stop(self, call: Call[Nothing, Nothing]) -> RolloutDetail:
        return await self._move(call, ("running", "paused"), "stopped", "stops a roll-out")

    async def _undo(self, call: Call[Nothing, Nothing]) -> RolloutDetail:
        rollout = await self.one(call, Role.OPERATOR)
        try:
            detail = await self._detail(await self._rollouts.undo(rollout, call.caller.name))
        except ValueError as error:
            raise ApiError(409, str(error)) from error
        await self._note(call, "undoes a roll-out", rollout, f"by {detail.rollout.id}")
        return detail

    async def _move(self, call: Call[Nothing, Nothing], old: Sequence[State], new: State, act: str) -> RolloutDetail:
        rollout = await self.one(call, Role.OPERATOR)
        why = f"{call.caller.name} stopped it" if new == "stopped" else ""
        moved = [await self._store.move(rollout.id, state, new, why, call.now) for state in old]
        detail = await self._detail(rollout.id)
        if not any(moved) and detail.rollout.state != new:
            raise ApiError(409, f"it is {detail.rollout.state}")
        if any(moved):
            await self._note(call, act, rollout)
        return detail

    async def one(self, call: Call[Any, Any], right: Role) -> Rollout:
        """That of the path. Raises ApiError."""
        rollout = await self._store.one(call.path["rollout"])
        if rollout is None or not call.caller.may(Role.VIEWER, rollout.place):
            raise ApiError(*NOT_THERE)
        if not call.caller.may(right, rollout.place):
            raise ApiError(403, f"that wants the role {right}")
        return rollout

    async def releases(self, call: Call[Any, Nothing]) -> Releases:
        rows = await self._store.versions()
        counted = Counter(version for place, version in rows if call.caller.may(Role.VIEWER, place))
        return Releases(tuple(Release(version, nodes) for version, nodes in counted.most_common()))

    async def _detail(self, rollout_id: str) -> RolloutDetail:
        rollout = await self._store.one(rollout_id)
        if rollout is None:
            raise ApiError(*NOT_THERE)
        return RolloutDetail(rollout, tuple(await self._store.waves(rollout_id)))

    async def _note(self, call: Call[Any, Any], act: str, rollout: Rollout, detail: str = "") -> None:
        await self._acts.note(call, act, rollout.id, detail, place=rollout.place)


def _member(row: RolloutNode) -> RolloutMember:
    fields = {name: getattr(row, name) for name in RolloutMember.__struct_fields__}
    return RolloutMember(**fields)
