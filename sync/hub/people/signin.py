"""Who a request comes from: the cookie of a browser, or a script's access token; see `sync.hub.web.api.SignIn`."""

import hmac
import logging
import math
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from sync.hub.config import PeopleConfig
from sync.hub.people.addresses import Addresses, household
from sync.hub.people.buckets import Buckets
from sync.hub.people.failures import Failures
from sync.hub.people.passwords import Passwords
from sync.hub.people.people import People, clean_name
from sync.hub.people.sessions import Given, Sessions
from sync.hub.people.tokens import Tokens
from sync.hub.store.sql import Sql
from sync.hub.web.api import ApiError
from sync.hub.web.rights import Caller

log = logging.getLogger(__name__)
SAFE = ("GET", "HEAD", "OPTIONS")
CSRF = "X-CSRF-Token"
TRIES_PER_S, TRIES = 1 / 6, 20  # of signing in, from one address
BURST_S = 10  # a caller that was quiet may ask as much at once as in this time
NAME_PROXY = "if that is your proxy, name it in hub.yaml, people.proxies: else all who come by it are one address"
WRONG = "unknown name or wrong password"


class Access(NamedTuple):
    """What a script gets: an access token for the next requests, a refresh token for the next access token."""

    token: str
    refresh: str


class PeopleSignIn:
    """`secure`: browsers send the cookie over TLS only. Raises ValueError for proxies that are no addresses."""

    def __init__(self, config: PeopleConfig, sql: Sql, clock: Clock, passwords: Passwords, *, secure: bool) -> None:
        self.sql = sql
        self.people = People(sql, passwords)
        self.sessions = Sessions(
            sql, lasts_ms=round(config.session_h * 3_600_000), slides=config.session_slides,
            refresh_ms=round(config.refresh_days * 86_400_000),
        )  # fmt: skip
        self.failures = Failures(sql)
        self.secure = secure
        self.cookie = "__Host-holdfast" if secure else "holdfast"  # browsers take the first from our own host alone
        self._tokens = Tokens(sql)
        self._clock = clock
        self._own = urlsplit(config.public_url).netloc if config.public_url else ""
        self._addresses = Addresses(config.proxies)
        self._told = False
        self._tries = Buckets(TRIES_PER_S, TRIES, clock)
        self._requests = Buckets(config.requests_per_s, BURST_S * config.requests_per_s, clock)

    def now(self) -> int:
        """Wall time, milliseconds since 1970 UTC."""
        return self._clock.wall_ms()

    def address(self, request: web.Request) -> str:
        forwarded = request.headers.getall("X-Forwarded-For", [])
        address = self._addresses.of(request.remote, forwarded)
        if forwarded and address == request.remote and not self._told:
            self._told = True  # once: anybody can send that header
            log.warning("X-Forwarded-For is not believed", extra={"from": address, "what to do": NAME_PROXY})
        return address

    async def caller(self, request: web.Request) -> Caller | None:
        """See `SignIn`; raises ApiError, too, for who asks too often."""
        caller = await self._caller(request)
        if caller is None:
            return None
        _spare(self._requests, caller.name, "that is too much at once")
        return msgspec.structs.replace(caller, address=self.address(request))

    async def _caller(self, request: web.Request) -> Caller | None:
        if "Authorization" in request.headers:
            found = await self._bearer(request)
            return found[0] if found else None
        token, now = request.cookies.get(self.cookie), self.now()
        caller = await self.sessions.of_cookie(token, now) if token else None
        if caller is not None and request.method not in SAFE:
            self.check_own_page(request)
            given = request.headers.get(CSRF, "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, caller.csrf.encode()):
                raise ApiError(403, f"{CSRF} is missing or not this session's: load the page again")
        return caller

    async def _bearer(self, request: web.Request) -> tuple[Caller, str] | None:
        """Who has the access token, and its family."""
        scheme, _, token = request.headers["Authorization"].partition(" ")
        now = self.now()
        claims = await self._tokens.read(token.strip(), now) if scheme.lower() == "bearer" else None
        caller = await self.sessions.of_family(claims.sub, claims.fam, now) if claims else None
        return (caller, claims.fam) if caller and claims else None

    def check_own_page(self, request: web.Request) -> None:
        """Raises ApiError where a browser says that another site's page sends this."""
        if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise ApiError(403, "another site's page asked for this")
        origin, own = request.headers.get("Origin"), self._own or request.headers.get("Host", "")
        if origin is not None and (_netloc(origin) or "null") != own.lower():
            raise ApiError(403, "another site's page asked for this")

    async def check_password(self, request: web.Request, name: str, password: str) -> str:
        """The name as it is kept. Raises ApiError; what it says and how long it takes tells nobody who is known here,
        and the same name or address has to wait after some failures."""
        address = household(self.address(request))
        _spare(self._tries, address, "too many tries to sign in from your address")
        try:
            name = clean_name(name)
        except ValueError:
            name = ""  # nobody's
        if wait_ms := await self.failures.wait_ms(name, address, self.now()):
            words = "after too many failures this name has to wait"
            raise ApiError(429, words, retry_after_s=math.ceil(wait_ms / 1000))
        if not await self.people.matches(name, password):
            raise ApiError(401, WRONG)
        await self.failures.succeeded(name, address, self.now())
        return name

    async def access(self, given: Given) -> Access:
        return Access(await self._tokens.made(given.person, given.family, self.now()), given.token)

    async def sign_out(self, request: web.Request) -> None:
        """End the session, or the family of the token, with which this request was signed in."""
        if "Authorization" not in request.headers:
            await self.sessions.close(request.cookies.get(self.cookie, ""))
        elif found := await self._bearer(request):
            await self.sessions.end(found[1])

    def put_cookie(self, response: web.StreamResponse, token: str) -> None:
        response.set_cookie(self.cookie, token, path="/", httponly=True, samesite="Lax", secure=self.secure)

    def take_cookie(self, response: web.StreamResponse) -> None:
        response.del_cookie(self.cookie, path="/", httponly=True, samesite="Lax", secure=self.secure)

    async def tidy(self, now: int) -> None:
        """Forget what ran out."""
        await self.sessions.tidy(now)
        await self.failures.tidy(now)


def _netloc(origin: str) -> str:
    """Nobody's where it is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _spare(buckets: Buckets, key: str, words: str) -> None:
    if wait_s := buckets.wait_s(key):
        raise ApiError(429, words, retry_after_s=math.ceil(wait_s))
