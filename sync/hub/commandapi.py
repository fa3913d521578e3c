"""Commands over HTTP, for the operator and for scripts; behind the pages' password, and never without one."""

from secrets import token_hex
from typing import Annotated

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from gateway.core.model import Command
from sync.hub.commandstore import CommandStore
from sync.hub.config import HubConfig
from sync.hub.fleet import Fleet

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
    who: str = ""
    reason: str = ""

    def command(self, now: int) -> Command:
        """Raises msgspec.ValidationError."""
        fields = msgspec.structs.asdict(self)
        valid_s = fields.pop("valid_s")
        if not isinstance(self.body, str):
            fields["body"] = msgspec.json.encode(self.body).decode()
        fields["id"] = self.id or token_hex(8)
        fields["not_after"] = now + round(valid_s * 1000) if self.not_after is None else self.not_after
        return msgspec.convert(fields, Command)


class CommandApi:
    """POST and GET of one node's commands."""

    def __init__(self, fleet: Fleet, store: CommandStore, config: HubConfig, clock: Clock) -> None:
        self._fleet = fleet
        self._store = store
        self._clock = clock
        self._nodes = {node.id for node in config.nodes}
        self._signed_in = config.password_sha256 is not None

    def add_to(self, app: web.Application) -> None:
        app.add_routes([web.post(PATH, _answering(self._post)), web.get(PATH, _answering(self._get))])

    async def _post(self, request: web.Request) -> web.Response:
        """POST /api/v1/nodes/{node}/commands, an Order as JSON -> 201 the command as ordered; 200 it was there."""
        node = self._node(request)
        if not self._signed_in:
            raise _Refusal(403, "a hub without a password takes no commands: set password_sha256 in its configuration")
        if request.content_type != "application/json":  # a page of another site cannot send that
            raise _Refusal(415, "expected Content-Type: application/json")
        command = msgspec.json.decode(await request.read(), type=Order).command(self._clock.wall_ms())
        is_new = await self._fleet.order(node, command)
        found = await self._store.ordered(command.id)
        if found is None or (found[0], _content(found[1].command)) != (node, _content(command)):
            raise _Refusal(409, f"another command has the id {command.id}")
        return _json(201 if is_new else 200, found[1])

    async def _get(self, request: web.Request) -> web.Response:
        """GET /api/v1/nodes/{node}/commands -> the newest 200 as [Ordered...], newest first"""
        node = self._node(request)
        await self._store.queued(node, self._clock.wall_ms(), 1)  # what is too late says so
        return _json(200, await self._store.commands(node, SHOWN_MAX))

    def _node(self, request: web.Request) -> str:
        node = request.match_info["node"]
        if node not in self._nodes:
            raise _Refusal(404, "no such node in the hub's configuration")
        return node


class _Refusal(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def _answering(handle: Handler) -> Handler:
    """`handle`, its errors told as {"error": words}."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except _Refusal as refusal:
            return _json(refusal.status, {"error": str(refusal)})
        except ValueError as error:  # msgspec's errors are ValueErrors
            return _json(400, {"error": str(error)})
        except StorageError as error:
            return _json(503, {"error": f"the hub's store fails just now: {error}"})

    return answer


def _json(status: int, answer: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def _content(command: Command) -> Command:
    """What makes a command another one; one that is ordered again may be good until later."""
    return msgspec.structs.replace(command, not_after=0)
