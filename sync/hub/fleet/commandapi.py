"""Commands over HTTP, for operators and for scripts."""

from collections.abc import Sequence
from secrets import token_hex
from typing import Annotated, Any

import msgspec
from aiohttp import web

from gateway.core.model import Command
from sync.hub.fleet.fleet import Fleet
from sync.hub.people.acts import Acts
from sync.hub.store.commandstore import CommandStore, Ordered
from sync.hub.web.api import ApiError, Call, Nothing, Route, json_response
from sync.hub.web.rights import Role

PATH = "/api/v1/nodes/{node}/commands"
SHOWN_MAX = 200
VALID_S = 3600.0  # where the order does not say until when it is good


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST: a Command; without an id it gets one, and `valid_s` is another way to say `not_after`."""

    kind: str
    id: str = ""
    not_after: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)] | None = None
    valid_s: Annotated[float, msgspec.Meta(gt=0, le=400 * 86_400)] = VALID_S
    device: str = ""
    point: str = ""
    value: int | float | str | None = None
    body: Annotated[str, msgspec.Meta(max_length=1 << 20)] | dict[str, int] = ""  # an object: its JSON
    reason: str = ""

    def command(self, who: str, now: int) -> Command:
        """Raises msgspec.ValidationError."""
        fields = msgspec.structs.asdict(self) | {"who": who}
        valid_s = fields.pop("valid_s")
        if not isinstance(self.body, str):
            fields["body"] = msgspec.json.encode(self.body).decode()
        fields["id"] = self.id or token_hex(8)
        fields["not_after"] = now + round(valid_s * 1000) if self.not_after is None else self.not_after
        return msgspec.convert(fields, Command)


class CommandApi:
    """POST and GET of one node's commands."""

    def __init__(self, fleet: Fleet, store: CommandStore, acts: Acts) -> None:
        self._fleet = fleet
        self._store = store
        self._acts = acts

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="POST", path=PATH, summary="Order a command; 200 instead of 201: it was ordered already",
                right=Role.OPERATOR, handle=self._post, query=Nothing, body=Order, answer=Ordered, status=201,
            ),
            Route(
                method="GET", path=PATH, summary=f"The newest {SHOWN_MAX} commands, newest first",
                right=Role.VIEWER, handle=self._get, query=Nothing, body=Nothing, answer=list[Ordered],
            ),
        )  # fmt: skip

    async def _post(self, call: Call[Nothing, Order]) -> web.Response:
        node = call.path["node"]
        try:
            command = call.body.command(call.caller.name, call.now)
        except msgspec.ValidationError as error:
            raise ApiError(400, f"body: {error}") from error
        is_new = await self._fleet.order(node, command)
        found = await self._store.ordered(command.id)
        if found is None or (found[0], _content(found[1].command)) != (node, _content(command)):
            raise ApiError(409, f"another command has the id {command.id}")
        if is_new:
            await self._acts.note(call, f"ordered {command.kind}", node, f"{command.id} {command.reason}".rstrip())
        return json_response(201 if is_new else 200, found[1])

    async def _get(self, call: Call[Nothing, Nothing]) -> list[Ordered]:
        await self._store.queued(call.path["node"], call.now, 1)  # what is too late says so
        return await self._store.commands(call.path["node"], SHOWN_MAX)


def _content(command: Command) -> Command:
    """What makes a command another one; one that is ordered again may be good until later."""
    return msgspec.structs.replace(command, not_after=0)
