"""The pages /people, for administrators, and /me, for everybody."""

from collections.abc import Sequence
from typing import Any

from gateway.core import wording
from sync.hub.people.people import People, Person
from sync.hub.people.peopleapi import scope_text
from sync.hub.people.sites import EVERYWHERE, Sites
from sync.hub.web.api import Call, Nothing
from sync.hub.web.paging import itself, listed, name_before
from sync.hub.web.rights import Grant, Role
from sync.hub.web.shell import ListShown, NoQuery, Page

SHOWN = 100
SCOPES = 1000  # that are offered; others can be typed


class PeoplePages:
    """What they do goes through the API."""

    def __init__(self, people: People, sites: Sites) -> None:
        self._people = people
        self._sites = sites

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(
                path="/people", template="people.html", right=Role.ADMIN, view=self._list, query=ListShown, nav="People"
            ),
            Page(path="/me", template="me.html", right=Role.VIEWER, view=self._me, query=NoQuery),
        )

    async def _list(self, call: Call[ListShown, Nothing]) -> dict[str, object]:
        people = await self._people.listed(call.caller.name, name_before(call.query.after), SHOWN + 1)
        piece = listed(people, SHOWN, itself, lambda one: (one.name,))
        return {
            "people": [_person_view(person, call) for person in piece.items],
            "next": piece.next,
            "scopes": await self._scopes(call),
            "roles": [str(role) for role in Role],
        }

    async def _scopes(self, call: Call[Any, Any]) -> list[str]:
        """What the caller may grant something in, as it is typed."""
        organisations = await self._sites.organisations(call.caller.name, "", SCOPES)
        sites = await self._sites.sites(call.caller.name, "", SCOPES)
        scopes = [Grant(Role.ADMIN), *(Grant(Role.ADMIN, one.id) for one in organisations)]
        scopes += [Grant(Role.ADMIN, one.organisation, one.id) for one in sites]
        return [typed(grant) for grant in scopes if call.caller.may(Role.ADMIN, grant.scope)]

    async def _me(self, call: Call[NoQuery, Nothing]) -> dict[str, object]:
        return {"name": call.caller.name, "grants": [_in_words(grant) for grant in call.caller.grants]}


def _person_view(person: Person, call: Call[Any, Any]) -> dict[str, object]:
    return {
        "name": person.name,
        "is_me": person.name == call.caller.name,
        "since": f"known for {wording.age_text(call.now - person.created)}",
        "disabled": person.disabled,
        "words": [_in_words(grant) for grant in person.grants],
        "grants": [{"role": str(grant.role), "scope": typed(grant)} for grant in person.grants],
    }


def typed(grant: Grant) -> str:
    """A scope as people type it: everywhere, ORGANISATION, or ORGANISATION/SITE; never nothing, which is typed soon."""
    return f"{grant.organisation}/{grant.site}" if grant.site else grant.organisation or EVERYWHERE


def _in_words(grant: Grant) -> str:
    return f"{grant.role} {scope_text(grant)}"
