"""What people do about how gateways come and go: claim codes, revoking, restoring, another secret."""

from collections.abc import Callable, Sequence
from secrets import choice, token_hex
from typing import Annotated, Any

import msgspec

from gateway.core.errors import HoldfastError
from gateway.core.model import Command
from sync.enrol import ALPHABET
from sync.hub.enrol.claims import Claim, Claims
from sync.hub.enrol.enrolled import EnrolledNode, EnrolledNodes
from sync.hub.enrol.enrolment import NodesAtBroker
from sync.hub.enrol.registry import Registry
from sync.hub.enrol.unasked import LOOK_BACK, SECRET
from sync.hub.fleet.fleet import Fleet
from sync.hub.people.acts import Acts
from sync.hub.store.commandstore import CommandStore, Ordered
from sync.hub.web.api import NOT_THERE, ApiError, Call, Nothing, Route
from sync.hub.web.paging import Listed, Paged, itself, listed, name_before
from sync.hub.web.rights import Role
from sync.hub.web.tenants import Tenants

ORDER_VALID_MS = 7 * 86_400_000
NODE = r"^([A-Za-z0-9._-]{1,64})?\Z"


class NewClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`node`: the id that the gateway is to have; empty: one is made up. `replaces`: the node whose place it takes."""

    node: Annotated[str, msgspec.Meta(pattern=NODE)] = ""
    replaces: Annotated[str, msgspec.Meta(pattern=NODE)] = ""


class MadeClaim(msgspec.Struct, frozen=True):
    """The code is told here, and never again."""

    code: str
    claim: Claim


class Admission(msgspec.Struct, frozen=True):
    """Whether the node is shut out."""

    node: str
    revoked: bool


class EnrolApi:
    """The routes, all for operators but the list, which viewers may see."""

    def __init__(
        self, claims: Claims, registry: Registry, enrolled: EnrolledNodes, broker: NodesAtBroker | None, fleet: Fleet,
        commands: CommandStore, tenants: Tenants, acts: Acts, dismiss: Callable[[str], None],
    ) -> None:  # fmt: skip
        """`dismiss` ends the long poll of a node."""
        self._claims = claims
        self._registry = registry
        self._enrolled = enrolled
        self._broker = broker
        self._fleet = fleet
        self._commands = commands
        self._tenants = tenants
        self._acts = acts
        self._dismiss = dismiss

    def routes(self) -> Sequence[Route[Any, Any]]:
        claims, node = "/api/v1/sites/{site}/claims", "/api/v1/nodes/{node}"
        return (
            Route(
                method="POST", path=claims, summary="Make a claim code, with which one gateway may come to the site",
                right=Role.OPERATOR, handle=self._make, query=Nothing, body=NewClaim, answer=MadeClaim, status=201,
            ),
            Route(
                method="GET", path=claims, summary="The site's claim codes that are open, without the codes",
                right=Role.OPERATOR, handle=self._open, query=Paged, body=Nothing, answer=Listed[Claim],
            ),
            Route(
                method="DELETE", path=claims + "/{claim}", summary="End a claim code", right=Role.OPERATOR,
                handle=self._end, query=Nothing, body=Nothing, status=204,
            ),
            Route(
                method="GET", path="/api/v1/enrolled", summary="Nodes: where they stand, hardware, their secrets' ages",
                right=Role.VIEWER, handle=self._list, query=Paged, body=Nothing, answer=Listed[EnrolledNode],
            ),
            Route(
                method="POST", path=node + "/revoke", summary="Shut a node out at once", right=Role.OPERATOR,
                handle=self._revoke, query=Nothing, body=Nothing, answer=Admission,
            ),
            Route(
                method="POST", path=node + "/restore", summary="Let a revoked node in again", right=Role.OPERATOR,
                handle=self._restore, query=Nothing, body=Nothing, answer=Admission,
            ),
            Route(
                method="POST", path=node + "/secret", summary="Have a node go over to another secret",
                right=Role.OPERATOR, handle=self._change, query=Nothing, body=Nothing, answer=Ordered, status=202,
            ),
        )  # fmt: skip

    async def _make(self, call: Call[Nothing, NewClaim]) -> MadeClaim:
        site, replaces = call.path["site"], call.body.replaces
        if call.body.node in (".", ".."):  # no path of a page or of the API could name it
            raise ApiError(400, "node: expected more than dots")
        if replaces:
            if call.body.node not in ("", replaces):
                raise ApiError(400, "node: one that takes the place of another has its id; leave this out")
            await self._check_replaceable(call, replaces)
        node = replaces or call.body.node or "gw-" + "".join(choice(ALPHABET.lower()) for _ in range(8))
        made = await self._claims.make(site, node, call.caller.name, call.now, replaces=bool(replaces))
        if made is None:
            raise ApiError(409, f"the id {node} cannot be had: a node, or a code that is open, has it already")
        code, claim = made
        await self._acts.note(call, "make claim code", node, f"{'replaces' if replaces else 'new'}, {claim.id}")
        return MadeClaim(code, claim)

    async def _check_replaceable(self, call: Call[Nothing, NewClaim], node: str) -> None:
        """A node of the same site; one that stands nowhere is taken to the site by who may do so. Raises ApiError."""
        place = await self._tenants.place(node)
        is_here = place is not None and place.site == call.path["site"]
        if place is None or not (is_here or (not place.site and call.caller.may(Role.OPERATOR, place))):
            raise ApiError(NOT_THERE[0], "replaces: no such node at this site")

    async def _open(self, call: Call[Paged, Nothing]) -> Listed[Claim]:
        after, limit = name_before(call.query.after), call.query.limit
        found = await self._claims.open(call.path["site"], call.now, after, limit + 1)
        return listed(found, limit, itself, lambda claim: (claim.id,))

    async def _end(self, call: Call[Nothing, Nothing]) -> None:
        claim = call.path["claim"]
        if not claim.isalnum() or not await self._claims.end(call.path["site"], claim):
            raise ApiError(*NOT_THERE)
        await self._acts.note(call, "end claim code", claim)

    async def _list(self, call: Call[Paged, Nothing]) -> Listed[EnrolledNode]:
        after, limit = name_before(call.query.after), call.query.limit
        found = await self._enrolled.nodes(call.caller, after, limit + 1, call.now)
        return listed(found, limit, itself, lambda node: (node.node,))

    async def _revoke(self, call: Call[Nothing, Nothing]) -> Admission:
        node = call.path["node"]
        await self._registry.revoke(node)
        self._dismiss(node)
        await self._acts.note(call, "revoke", node)
        try:
            if self._broker is not None:
                await self._broker.shut_out(node)
        except HoldfastError as error:
            raise ApiError(503, f"revoked, but not at the broker yet: {error.in_full}; do it once more") from error
        return Admission(node, revoked=True)

    async def _restore(self, call: Call[Nothing, Nothing]) -> Admission:
        node = call.path["node"]
        try:
            if self._broker is not None:
                await self._broker.let_in(node)
        except HoldfastError as error:
            raise ApiError(503, f"the broker does not let it in: {error.in_full}; do it once more") from error
        await self._registry.restore(node)
        await self._acts.note(call, "restore", node)
        return Admission(node, revoked=False)

    async def _change(self, call: Call[Nothing, Nothing]) -> Ordered:
        """An order that is under way is given again, not once more."""
        node = call.path["node"]
        if not await self._registry.of(node):
            raise ApiError(409, "the node is revoked, or has no secret yet")
        under_way = [
            one
            for one in await self._commands.commands(node, LOOK_BACK)
            if one.command.kind == SECRET and one.state in ("queued", "taken") and one.command.not_after > call.now
        ]
        if under_way:
            return under_way[0]
        command = Command(token_hex(8), SECRET, call.now + ORDER_VALID_MS, who=call.caller.name)
        await self._fleet.order(node, command)
        await self._acts.note(call, "change secret", node)
        found = await self._commands.ordered(command.id)
        assert found is not None, command.id
        return found[1]
