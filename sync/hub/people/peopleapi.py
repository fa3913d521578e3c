"""People and what is granted to them, over HTTP; and everybody's own password.

An administrator of a scope manages those whose grants all lie within it; of the others there is nobody (404).
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from gateway.core.credential import digest
from sync.hub.people.acts import Acts
from sync.hub.people.passwords import LENGTH_MAX, check_new, generated
from sync.hub.people.people import LastAdminError, Person, clean_name, manages
from sync.hub.people.signin import PeopleSignIn
from sync.hub.people.sites import Sites
from sync.hub.web.api import NOT_THERE, ApiError, Call, Nothing, Route
from sync.hub.web.paging import Listed, Paged, itself, listed, name_before
from sync.hub.web.rights import NOWHERE, Caller, Grant, Place, Role

PEOPLE, PERSON = "/api/v1/people", "/api/v1/people/{person}"
ME, MY_PASSWORD = "/api/v1/me", "/api/v1/me/password"
Password = Annotated[str, msgspec.Meta(max_length=LENGTH_MAX)]
Grants = Annotated[tuple[Grant, ...], msgspec.Meta(min_length=1, max_length=100)]


class NewPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without a password one is made, and told once, in the answer."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    grants: Grants
    password: Password | None = None


class Made(msgspec.Struct, frozen=True):
    """`password`: the one that was made for this person, if one was."""

    person: Person
    password: str = ""


class PersonChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is; `new_password`: make one and tell it."""

    grants: Grants | None = None
    disabled: bool | None = None
    password: Password | None = None
    new_password: bool = False


class Me(msgspec.Struct, frozen=True):
    name: str
    grants: tuple[Grant, ...]


class OwnPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    old: Password
    new: Password


class PeopleApi:
    """See above."""

    def __init__(self, sign_in: PeopleSignIn, sites: Sites, acts: Acts) -> None:
        self._sign_in = sign_in
        self._people = sign_in.people
        self._sites = sites
        self._acts = acts

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path=PEOPLE, summary="The people whom the caller administers, by name", right=Role.ADMIN,
                handle=self._list, query=Paged, body=Nothing, answer=Listed[Person],
            ),
            Route(
                method="POST", path=PEOPLE, summary="Let another person sign in", right=Role.ADMIN,
                handle=self._add, query=Nothing, body=NewPerson, answer=Made, status=201,
            ),
            Route(
                method="PUT", path=PERSON, summary="Change what a person may, or the password", right=Role.ADMIN,
                handle=self._change, query=Nothing, body=PersonChange, answer=Made,
            ),
            Route(
                method="DELETE", path=PERSON, summary="Delete a person", right=Role.ADMIN,
                handle=self._delete, query=Nothing, body=Nothing, status=204,
            ),
            Route(
                method="GET", path=ME, summary="Who the caller is", right=Role.VIEWER,
                handle=self._me, query=Nothing, body=Nothing, answer=Me,
            ),
            Route(
                method="PUT", path=MY_PASSWORD, summary="Change the caller's own password", right=Role.VIEWER,
                handle=self._own_password, query=Nothing, body=OwnPassword, status=204,
            ),
        )  # fmt: skip

    async def _list(self, call: Call[Paged, Nothing]) -> Listed[Person]:
        limit = call.query.limit
        found = await self._people.listed(call.caller.name, name_before(call.query.after), limit + 1)
        return listed(found, limit, itself, lambda one: (one.name,))

    async def _add(self, call: Call[Nothing, NewPerson]) -> Made:
        try:
            name = clean_name(call.body.name)
        except ValueError as error:
            raise ApiError(400, f"name: {error}") from error
        await self._check_grants(call.caller, call.body.grants)
        given = call.body.password
        password = generated() if given is None else _checked(given, name)
        if not await self._people.add(name, password, call.body.grants, call.now):
            raise ApiError(409, "somebody has this name already")
        await self._note(call, "let a person in", name, call.body.grants, _told(call.body.grants))
        return Made(Person(name, call.body.grants, call.now), "" if given is not None else password)

    async def _change(self, call: Call[Nothing, PersonChange]) -> Made:
        person, body = await self._managed(call), call.body
        if body.grants is not None:
            await self._check_grants(call.caller, body.grants)
        password = generated() if body.new_password else body.password and _checked(body.password, person.name)
        after = msgspec.structs.replace(
            person,
            grants=person.grants if body.grants is None else body.grants,
            disabled=person.disabled if body.disabled is None else body.disabled,
        )
        if after != person:
            await self._put(after)
            words = ("disabled, " if after.disabled else "") + _told(after.grants)
            await self._note(call, "changed a person's rights", person.name, (*person.grants, *after.grants), words)
        if password:
            await self._people.set_password(person.name, password)
            await self._sign_in.failures.forget(person.name)
            await self._note(call, "set a person's password", person.name, person.grants)
        return Made(after, password if body.new_password and password else "")

    async def _put(self, person: Person) -> None:
        try:
            if not await self._people.change(person.name, person.grants, disabled=person.disabled):
                raise ApiError(*NOT_THERE)
        except LastAdminError as error:
            raise ApiError(409, str(error)) from error

    async def _delete(self, call: Call[Nothing, Nothing]) -> None:
        person = await self._managed(call)
        try:
            await self._people.delete(person.name)
        except LastAdminError as error:
            raise ApiError(409, str(error)) from error
        await self._note(call, "deleted a person", person.name, person.grants)

    async def _me(self, call: Call[Nothing, Nothing]) -> Me:
        return Me(call.caller.name, call.caller.grants)

    async def _own_password(self, call: Call[Nothing, OwnPassword]) -> None:
        name, request = call.caller.name, call.request
        try:
            await self._sign_in.check_password(request, name, call.body.old)
        except ApiError as error:
            raise ApiError(400, "the old password is another one") if error.status == 401 else error from error
        _checked(call.body.new, name)
        own = digest(request.cookies[self._sign_in.cookie]) if call.caller.csrf else ""
        await self._people.set_password(name, call.body.new, but_session=own)
        await self._acts.note(call, "changed the own password", name)

    async def _managed(self, call: Call[Any, Any]) -> Person:
        """Whom the path names. Raises ApiError."""
        person = await self._people.person(call.path["person"])
        if person is None or not manages(call.caller, person):
            raise ApiError(*NOT_THERE)
        return person

    async def _check_grants(self, caller: Caller, grants: Sequence[Grant]) -> None:
        """Raises ApiError where `caller` cannot give them: outside of what it administers nothing is there."""
        if len({grant.scope for grant in grants}) < len(grants):
            raise ApiError(400, "grants: two for the same scope")
        for grant in grants:
            if grant.site and not grant.organisation:
                raise ApiError(400, "grants: a site without its organisation")
            if not caller.may(Role.ADMIN, grant.scope) or not await self._is_there(grant.scope):
                raise ApiError(404, "grants: a scope that is not there, or not yours to give")

    async def _is_there(self, scope: Place) -> bool:
        if scope.site:
            site = await self._sites.site(scope.site)
            return site is not None and site.organisation == scope.organisation
        return scope == NOWHERE or await self._sites.has_organisation(scope.organisation)

    async def _note(
        self, call: Call[Any, Any], action: str, name: str, grants: Sequence[Grant], detail: str = ""
    ) -> None:
        """Once for each scope that it is about, so that whoever administers one finds it."""
        for scope in dict.fromkeys(grant.scope for grant in grants) or (NOWHERE,):
            await self._acts.note(call, action, name, detail, place=scope)


def _checked(password: str, name: str) -> str:
    try:
        check_new(password, name)
    except ValueError as error:
        raise ApiError(400, f"password: {error}") from error
    return password


def _told(grants: Sequence[Grant]) -> str:
    return ", ".join(f"{grant.role} {scope_text(grant)}" for grant in grants)


def scope_text(grant: Grant) -> str:
    if not grant.organisation:
        return "everywhere"
    return f"in {grant.organisation}, {grant.site}" if grant.site else f"in {grant.organisation}"
