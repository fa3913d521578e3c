"""Signing in and out: for scripts by tokens, for people by the page /sign-in."""

import re
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from sync.hub.people.acts import Acts
from sync.hub.people.passwords import LENGTH_MAX
from sync.hub.people.signin import PeopleSignIn
from sync.hub.people.tokens import LASTS_S
from sync.hub.web.api import ApiError, Call, Nothing, Route, read_body
from sync.hub.web.rights import NOWHERE, Caller
from sync.hub.web.shell import SIGN_IN, Shell

FORM_MAX = 8192  # bytes
Token = Annotated[str, msgspec.Meta(max_length=200)]
# As the page is always a page of ours; browsers read "\\" as "/", and "//x" as another site.
LOCAL = re.compile(r"/(?![/\\])[!-~]*")


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signs in."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    password: Annotated[str, msgspec.Meta(max_length=LENGTH_MAX)]


class Refresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The refresh token that came last; each is good once."""

    refresh_token: Token


class Signed(msgspec.Struct, frozen=True):
    """`access_token`: for the header `Authorization: Bearer`; good for `expires_in_s` seconds."""

    access_token: str
    refresh_token: str
    expires_in_s: int = LASTS_S
    token_type: str = "Bearer"  # noqa: S105 - the kind, not the token


class SignInApi:
    """Who guesses passwords is held up: see `PeopleSignIn.check_password`."""

    def __init__(self, sign_in: PeopleSignIn, acts: Acts, shell: Shell, clock: Clock) -> None:
        self._sign_in = sign_in
        self._acts = acts
        self._shell = shell
        self._clock = clock

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="POST", path="/api/v1/sign-in", summary="Tokens for a name and its password", right=None,
                handle=self._tokens, query=Nothing, body=Credentials, answer=Signed,
            ),
            Route(
                method="POST", path="/api/v1/refresh", summary="New tokens for a refresh token", right=None,
                handle=self._refresh, query=Nothing, body=Refresh, answer=Signed,
            ),
            Route(
                method="POST", path="/api/v1/sign-out", summary="End the session or the tokens of this request",
                right=None, handle=self._sign_out, query=Nothing, body=Nothing, status=204,
            ),
        )  # fmt: skip

    def add_page(self, app: web.Application) -> None:
        app.router.add_get(SIGN_IN, self._show)
        app.router.add_post(SIGN_IN, self._take_form)

    async def _tokens(self, call: Call[Nothing, Credentials]) -> Signed:
        name = await self._sign_in.check_password(call.request, call.body.name, call.body.password)
        access = await self._sign_in.access(await self._sign_in.sessions.begin(name, call.now))
        await self._note(call, name, "signed in for tokens")
        return Signed(*access)

    async def _refresh(self, call: Call[Nothing, Refresh]) -> Signed:
        given = await self._sign_in.sessions.refresh(call.body.refresh_token, call.now)
        if given is None:
            raise ApiError(401, "this refresh token is not good any more: sign in again")
        return Signed(*await self._sign_in.access(given))

    async def _sign_out(self, call: Call[Nothing, Nothing]) -> web.Response:
        caller = await self._sign_in.caller(call.request)
        if caller is None:
            raise ApiError(401, "sign in first")
        await self._sign_in.sign_out(call.request)
        await self._note(call, caller.name, "signed out")
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        self._sign_in.take_cookie(response)
        return response

    async def _note(self, call: Call[Any, Any], name: str, action: str) -> None:
        caller = Caller(name, address=self._sign_in.address(call.request))
        signed = Call(caller, call.path, call.query, call.body, NOWHERE, call.now, call.request)
        await self._acts.note(signed, action, name)

    async def _show(self, request: web.Request) -> web.Response:
        return self._page(local(request.query.get("to", "")), "")

    async def _take_form(self, request: web.Request) -> web.StreamResponse:
        to = name = ""
        try:
            self._sign_in.check_own_page(request)
            form = await _form(request)
            to, name = local(form.get("to", "")), form.get("name", "")
            person = await self._sign_in.check_password(request, name, form.get("password", "")[:LENGTH_MAX])
            now = self._clock.wall_ms()
            response = web.Response(status=303, headers={"Location": to, "Cache-Control": "no-store"})
            self._sign_in.put_cookie(response, await self._sign_in.sessions.open(person, now))
            nothing = Nothing()
            await self._note(Call(Caller(), {}, nothing, nothing, NOWHERE, now, request), person, "signed in")
        except ApiError as error:
            return self._page(to or "/", str(error), name, error.status, error.headers)
        except StorageError as error:
            return self._page(to or "/", self._shell.store_fails(error), name, 503)
        return response

    def _page(
        self, to: str, words: str, name: str = "", status: int = 200, headers: dict[str, str] | None = None
    ) -> web.Response:
        view = {"to": to, "words": words, "name": name}
        response = self._shell.response("sign_in.html", None, None, view, status)
        response.headers.update(headers or {})
        return response


def local(to: str) -> str:
    """Where to go after signing in: `to` if it is a path of ours, else the first page."""
    return to if LOCAL.fullmatch(to) else "/"


async def _form(request: web.Request) -> dict[str, str]:
    """Raises ApiError."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise ApiError(415, "expected a form")
    text = (await read_body(request, FORM_MAX)).decode(errors="replace")
    try:
        return {key: values[0] for key, values in parse_qs(text, keep_blank_values=True, max_num_fields=9).items()}
    except ValueError as error:
        raise ApiError(400, "expected a form with three fields") from error
