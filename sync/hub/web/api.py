"""The hub's HTTP API as a table of routes: who may, what comes in, what goes out; the OpenAPI document is made of it.

A route whose path names a {node}, a {site} or an {organisation}, or its query a node or a site, is only for callers
whose grants cover it; for all others it is not there (404). Other routes are for callers who have the right anywhere,
and give them what their grants cover.
"""

import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiMapping

from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from gateway.core.ration import Ration
from sync import wire
from sync.hub.web.rights import NOWHERE, Caller, Place, Role
from sync.hub.web.tenants import Tenants

log = logging.getLogger(__name__)
BODY_MAX = 1 << 20  # bytes
JSON = "application/json"
NAMED = ("site", "node")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters, or no body."""


Q = TypeVar("Q", bound=msgspec.Struct)
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """One request, checked."""

    caller: Caller
    path: Mapping[str, str]
    query: Q
    body: B
    place: Place  # of the path's node, site or organisation; else NOWHERE
    now: int  # wall time, milliseconds since 1970 UTC
    request: web.Request
    again: Callable[[], Awaitable[object]] | None = None  # checks it once more; raises ApiError, StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Q, B]):
    """`handle` gives what `answer` says, as JSON; None for 204; or a response of its own. Raises ApiError.

    `query`: a struct with a field for each parameter, those with a default may be left out; `body`: what the JSON
    has to be; `status`: of the answer.
    """

    method: str
    path: str  # as /api/v1/nodes/{node}
    summary: str
    right: Role | None  # None: for everybody, also who is not signed in
    handle: Callable[[Call[Q, B]], Awaitable[object]]
    query: type[Q]
    body: type[B]
    answer: Any = None  # a type
    status: int = 200
    media: str = JSON  # of the answer
    # What answers a gateway, which comes with an id and a secret of its own; None: it is for people alone. Raises
    # ApiError, StorageError.
    node: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None


class ApiError(Exception):
    """The answer to a request that is not done: a status, and words that say what and why."""

    def __init__(self, status: int, words: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


NOT_THERE = 404, "not there, or not yours to see"


class Refusal(msgspec.Struct, frozen=True):
    """What all errors look like."""

    error: str


class SignIn(Protocol):
    """Who a request comes from."""

    async def caller(self, request: web.Request) -> Caller | None:
        """None: nobody is signed in. Raises ApiError for a request that another site's page made, StorageError."""
        ...


class Api:
    """Checks a request by its route before it is handled."""

    def __init__(self, sign_in: SignIn, tenants: Tenants, clock: Clock) -> None:
        self.routes: list[Route[Any, Any]] = []
        self._sign_in = sign_in
        self._tenants = tenants
        self._clock = clock
        self._outages = Ration(clock)

    def add(self, app: web.Application, routes: Sequence[Route[Any, Any]]) -> None:
        for route in routes:
            self.routes.append(route)
            app.router.add_route(route.method, route.path, self._handler(route))
            if route.method == "GET" and route.media == JSON:
                app.router.add_route("HEAD", route.path, self._handler(route))

    def _handler(self, route: Route[Any, Any]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                if route.node is not None and wire.NODE_ID in request.headers:
                    return await route.node(request)
                result = await route.handle(await self.call(request, route))
            except ApiError as error:
                return json_response(error.status, Refusal(str(error)), error.headers)
            except StorageError as error:
                return json_response(503, Refusal(self.store_fails(error)))
            if isinstance(result, web.StreamResponse):
                return result
            return json_response(route.status, result) if result is not None else web.Response(status=204)

        return answer

    def store_fails(self, error: StorageError) -> str:
        """What anybody may be told; why, and what the store is, is for the log."""
        if (suppressed := self._outages.spend()) is not None:
            log.warning("the store fails", extra={"why": error.in_full, "suppressed": suppressed})
        return "the hub's store fails just now"

    async def call(self, request: web.Request, route: Route[Q, B]) -> Call[Q, B]:
        """The request, checked in this order: signed in, rights, parameters, body. Raises ApiError, StorageError."""
        caller, place = Caller(), NOWHERE
        if route.right is not None:
            caller = await self.known(request)
            place = await self._place(caller, route.right, request.match_info)
        query = converted(request.query, route.query)
        for name in NAMED:
            if route.right is not None and (named := getattr(query, name, "")):
                place = await self._place(caller, route.right, {name: named})
        body = await _body(request, route.body)
        now, again = self._clock.wall_ms(), functools.partial(self.call, request, route)
        return Call(caller, request.match_info, query, body, place, now, request, again)

    async def known(self, request: web.Request) -> Caller:
        """Whoever is signed in. Raises ApiError, StorageError."""
        caller = await self._sign_in.caller(request)
        if caller is None:
            raise ApiError(401, "sign in first")
        return caller

    async def _place(self, caller: Caller, right: Role, named: Mapping[str, str]) -> Place:
        if "node" in named:
            place = await self._tenants.place(named["node"])
        elif "site" in named:
            place = await self._tenants.place_of_site(named["site"])
        elif "organisation" in named:
            place = await self._tenants.place_of_organisation(named["organisation"])
        elif not caller.may_somewhere(right):
            raise ApiError(403, f"that wants the role {right}")
        else:
            return NOWHERE
        if place is None or not caller.may(Role.VIEWER, place):
            raise ApiError(*NOT_THERE)
        if not caller.may(right, place):
            raise ApiError(403, f"that wants the role {right}")
        return place


async def check_again(call: Call[Any, Any]) -> None:
    """Raises ApiError where it would not be answered if it came now; StorageError."""
    try:
        if call.again is not None:
            await call.again()
    except ApiError as error:
        if error.status != 429:  # that is no word about rights
            raise


def converted(given: MultiMapping[str], kind: type[Q]) -> Q:
    """Of text that is text, and of one value for each parameter, but where the struct has a tuple. Raises ApiError."""
    many = many_valued(kind)
    names = set(given)
    if twice := {name for name in names if len(given.getall(name)) > 1} - many:
        raise ApiError(400, f"parameters: {min(twice)} may be there only once")
    try:
        "".join([*names, *given.values()]).encode()
        return msgspec.convert(
            {name: given.getall(name) if name in many else given[name] for name in names}, kind, strict=False
        )
    except (UnicodeEncodeError, msgspec.ValidationError) as error:
        raise ApiError(400, f"parameters: {error}") from error


@functools.cache
def many_valued(query: type[msgspec.Struct]) -> set[str]:
    """The parameters that may be there several times."""
    info = msgspec.inspect.type_info(query)
    assert isinstance(info, msgspec.inspect.StructType)
    kinds = {field.encode_name: field.type for field in info.fields}
    plain = {name: kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind for name, kind in kinds.items()}
    return {name for name, kind in plain.items() if isinstance(kind, msgspec.inspect.VarTupleType)}


async def _body(request: web.Request, kind: type[B]) -> B:
    if kind is Nothing:
        return kind()
    if request.content_type != JSON:  # a page of another site cannot send that
        raise ApiError(415, "expected Content-Type: application/json")
    try:
        return msgspec.json.decode(await read_body(request, BODY_MAX), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"body: {error}") from error


async def read_body(request: web.Request, most: int) -> bytes:
    """Raises ApiError for one of more than `most` bytes."""
    body = b""
    if (request.content_length or 0) <= most:
        body = await request.content.read(most + 1)
        while not request.content.at_eof() and len(body) <= most:
            body += await request.content.read(most + 1)
    if (request.content_length or 0) > most or len(body) > most:
        raise ApiError(413, f"more than {most} bytes")
    return body


def json_response(status: int, answer: object, more: Mapping[str, str] | None = None) -> web.Response:
    headers = {"Cache-Control": "no-store", **(more or {})}
    return web.Response(
        status=status, body=msgspec.json.encode(answer), content_type="application/json", headers=headers
    )


@web.middleware
async def in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is not there under /api, or not by that method, says so like all the rest."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        if not request.path.startswith("/api/"):
            raise
        allow = ", ".join(sorted(error.allowed_methods | {"OPTIONS"}))
        if request.method == "OPTIONS":
            return web.Response(status=204, headers={"Allow": allow})
        response = json_response(405, Refusal(f"{request.method} cannot be done here; {allow} can"))
        response.headers["Allow"] = allow
        return response
    except web.HTTPException as error:
        if not request.path.startswith("/api/") or error.status < 400:
            raise
        return json_response(error.status, Refusal(NOT_THERE[1] if error.status == 404 else error.reason.lower()))
