"""Who is told of alerts, over HTTP: for administrators of the scope; secrets are shown once, when they are made."""

import math
from collections.abc import Sequence
from secrets import token_urlsafe
from typing import Annotated, Any, Literal

import msgspec

from gateway.core.clock import Clock
from sync.hub.alerts.causes import Kind
from sync.hub.alerts.delivery import Delivery
from sync.hub.alerts.receivers import Receiver, Receivers
from sync.hub.alerts.webhook import DeliveryError, Reach, check_address
from sync.hub.people.acts import Acts
from sync.hub.people.buckets import Buckets
from sync.hub.web.api import NOT_THERE, ApiError, Call, Nothing, Route
from sync.hub.web.paging import Listed, Paged, listed, name_before
from sync.hub.web.rights import NOWHERE, Place, Role
from sync.hub.web.tenants import Tenants

PATH = "/api/v1/receivers"
TEST_S, TESTS = 30, 5  # a test in so long, and so many at once, for each person
EMAIL = r"^[^\s@<>,;:\"]+@[^\s@<>,;:\"]+$"
Address = Annotated[str, msgspec.Meta(min_length=3, max_length=2000)]
EveryS = Annotated[int, msgspec.Meta(ge=0, le=86_400)]
PerHour = Annotated[int, msgspec.Meta(ge=1, le=3600)]
Secret = Annotated[str, msgspec.Meta(min_length=16, max_length=200)]


class Wishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be changed. `kinds`: of alerts, empty for all. `secret`: of a webhook; null: one is made up."""

    address: Address
    kinds: Annotated[list[Kind], msgspec.Meta(max_length=20)] = []
    every_s: EveryS = 60
    per_hour: PerHour = 12
    secret: Secret | None = None


class NewReceiver(Wishes, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Without an organisation and a site it is told of everything."""

    kind: Literal["webhook", "email"]
    organisation: str = ""
    site: str = ""


class ReceiverState(msgspec.Struct, frozen=True):
    """A receiver as its administrators see it; times are milliseconds since 1970 UTC."""

    id: str
    organisation: str
    site: str
    kind: Literal["webhook", "email"]
    address: str
    kinds: list[str]
    every_s: int
    per_hour: int
    failures: int  # of the last messages
    error: str
    last_sent: int | None
    secret: str = ""  # where it was made just now


class Tested(msgspec.Struct, frozen=True):
    """How a test went; `error` is empty where it was taken."""

    sent: bool
    error: str


class ReceiverApi:
    """Routes under /api/v1/receivers."""

    def __init__(
        self, receivers: Receivers, delivery: Delivery, tenants: Tenants, acts: Acts, reach: Reach, clock: Clock
    ) -> None:  # fmt: skip
        self._receivers = receivers
        self._delivery = delivery
        self._tenants = tenants
        self._acts = acts
        self._reach = reach
        self._tests = Buckets(1 / TEST_S, TESTS, clock)

    def routes(self) -> Sequence[Route[Any, Any]]:
        one, admin = PATH + "/{receiver}", Role.ADMIN
        return (
            Route(
                method="GET", path=PATH, summary="Who is told of alerts", right=admin, handle=self._list,
                query=Paged, body=Nothing, answer=Listed[ReceiverState],
            ),
            Route(
                method="POST", path=PATH, summary="Have somebody told of alerts", right=admin, handle=self._add,
                query=Nothing, body=NewReceiver, answer=ReceiverState, status=201,
            ),
            Route(
                method="PUT", path=one, summary="Change what a receiver is told, and where", right=admin,
                handle=self._change, query=Nothing, body=Wishes, answer=ReceiverState,
            ),
            Route(
                method="DELETE", path=one, summary="Tell a receiver nothing any more", right=admin,
                handle=self._remove, query=Nothing, body=Nothing, status=204,
            ),
            Route(
                method="POST", path=one + "/test", summary="Send a test now", right=admin, handle=self._test,
                query=Nothing, body=Nothing, answer=Tested,
            ),
        )  # fmt: skip

    async def _list(self, call: Call[Paged, Nothing]) -> Listed[ReceiverState]:
        rows = await self._receivers.listed(call.caller, name_before(call.query.after), call.query.limit + 1)
        return listed(rows, call.query.limit, _state, lambda one: (one.id,))

    async def _add(self, call: Call[Nothing, NewReceiver]) -> ReceiverState:
        asked = call.body
        place = await self._place(asked)
        self._check_rights(call, place)
        self._check(asked.kind, asked.address)
        secret = (asked.secret or token_urlsafe(32)) if asked.kind == "webhook" else ""
        one = Receiver(
            token_urlsafe(9), place.organisation, place.site, asked.kind, asked.address, secret, _joined(asked.kinds),
            asked.every_s, asked.per_hour,
        )  # fmt: skip
        await self._receivers.add(one, call.now)
        await self._acts.note(call, "added receiver", one.id, f"{one.kind} {_host(one)}", place=place)
        return _state(one, secret)

    async def _change(self, call: Call[Nothing, Wishes]) -> ReceiverState:
        before, asked = await self._found(call), call.body
        self._check(before.kind, asked.address)
        secret = asked.secret if asked.secret is not None and before.kind == "webhook" else before.secret
        one = msgspec.structs.replace(
            before, address=asked.address, kinds=_joined(asked.kinds), every_s=asked.every_s,
            per_hour=asked.per_hour, secret=secret, failures=0, error="",
        )  # fmt: skip
        await self._receivers.update(one)
        await self._acts.note(call, "changed receiver", one.id, f"{one.kind} {_host(one)}", place=one.place)
        return _state(one)

    async def _remove(self, call: Call[Nothing, Nothing]) -> None:
        one = await self._found(call)
        await self._receivers.remove(one.id)
        await self._acts.note(call, "removed receiver", one.id, f"{one.kind} {_host(one)}", place=one.place)

    async def _test(self, call: Call[Nothing, Nothing]) -> Tested:
        one = await self._found(call)
        if wait_s := self._tests.wait_s(call.caller.name):  # it may be anybody's address
            raise ApiError(429, "so many tests were sent just now; wait a little", retry_after_s=math.ceil(wait_s))
        error = await self._delivery.test(one)
        await self._acts.note(call, "tested receiver", one.id, error, place=one.place)
        return Tested(not error, error)

    async def _found(self, call: Call[Any, Any]) -> Receiver:
        """That of the path. Raises ApiError where it is not there for this caller."""
        one = await self._receivers.one(call.path["receiver"])
        if one is None or not call.caller.may(Role.ADMIN, one.place):
            raise ApiError(*NOT_THERE)
        return one

    async def _place(self, asked: NewReceiver) -> Place:
        """Raises ApiError where there is no such place."""
        if asked.site:
            place = await self._tenants.place_of_site(asked.site)
            if place is None or asked.organisation not in ("", place.organisation):
                raise ApiError(*NOT_THERE)
            return place
        if asked.organisation and not await self._receivers.is_organisation(asked.organisation):
            raise ApiError(*NOT_THERE)
        return Place(asked.organisation)

    def _check_rights(self, call: Call[Any, Any], place: Place) -> None:
        if call.caller.may(Role.ADMIN, place):
            return
        if place == NOWHERE or call.caller.may(Role.VIEWER, place):
            raise ApiError(403, f"that wants the role {Role.ADMIN}")
        raise ApiError(*NOT_THERE)

    def _check(self, kind: str, address: str) -> None:
        if kind == "email":
            try:
                msgspec.convert(address, Annotated[str, msgspec.Meta(pattern=EMAIL, max_length=254)])
            except msgspec.ValidationError as error:
                raise ApiError(400, "address: expected an e-mail address") from error
        else:
            try:
                check_address(address, self._reach)
            except DeliveryError as error:
                raise ApiError(400, f"address: {error}") from error


def _joined(kinds: Sequence[str]) -> str:
    return f",{','.join(sorted(set(kinds)))}," if kinds else ""


def _host(one: Receiver) -> str:
    """What may be told of an address, whose path is often a secret."""
    return one.address if one.kind == "email" else one.address.split("://")[-1].partition("/")[0]


def _state(one: Receiver, secret: str = "") -> ReceiverState:
    return ReceiverState(
        one.id, one.organisation, one.site, one.kind, one.address, [kind for kind in one.kinds.split(",") if kind],
        one.every_s, one.per_hour, one.failures, one.error, one.last_sent, secret,
    )  # fmt: skip
