"""Organisations, sites and where nodes stand, over HTTP."""

import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from sync.hub.people.acts import Acts
from sync.hub.people.sites import EVERYWHERE, Organisation, Site, Sites, Slug, slug_of
from sync.hub.web.api import NOT_THERE, ApiError, Call, Nothing, Route
from sync.hub.web.paging import Listed, Paged, itself, listed, name_before
from sync.hub.web.rights import NOWHERE, Place, Role
from sync.hub.web.tenants import Tenants

ORGANISATIONS, ORGANISATION = "/api/v1/organisations", "/api/v1/organisations/{organisation}"
SITES, SITE = "/api/v1/sites", "/api/v1/sites/{site}"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Zone = Annotated[str, msgspec.Meta(max_length=64, description="an IANA time zone, as Europe/Warsaw")]


class SitesQuery(Paged, frozen=True, forbid_unknown_fields=True):
    organisation: Annotated[str, msgspec.Meta(max_length=64)] = ""


class NewOrganisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without an id it gets one made of its name."""

    name: Name
    id: Slug | None = None


class NewSite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without an id it gets one made of its name."""

    organisation: Slug
    name: Name
    id: Slug | None = None
    timezone: Zone = "UTC"


class Rename(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name


class SiteChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    name: Name | None = None
    timezone: Zone | None = None


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """null: the node stands nowhere, and only who may look everywhere sees it."""

    site: Slug | None


class SiteApi:
    """An id that is there already, or cannot be deleted: 409."""

    def __init__(self, sites: Sites, tenants: Tenants, acts: Acts) -> None:
        self._sites = sites
        self._tenants = tenants
        self._acts = acts

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path=ORGANISATIONS, summary="Organisations, by id", right=Role.VIEWER,
                handle=self._organisations, query=Paged, body=Nothing, answer=Listed[Organisation],
            ),
            Route(
                method="POST", path=ORGANISATIONS, summary="Make an organisation", right=Role.ADMIN,
                handle=self._add_organisation, query=Nothing, body=NewOrganisation, answer=Organisation, status=201,
            ),
            Route(
                method="PUT", path=ORGANISATION, summary="Rename an organisation", right=Role.ADMIN,
                handle=self._rename, query=Nothing, body=Rename, status=204,
            ),
            Route(
                method="DELETE", path=ORGANISATION, summary="Delete an organisation without sites", right=Role.ADMIN,
                handle=self._delete_organisation, query=Nothing, body=Nothing, status=204,
            ),
            Route(
                method="GET", path=SITES, summary="Sites, by id", right=Role.VIEWER,
                handle=self._list, query=SitesQuery, body=Nothing, answer=Listed[Site],
            ),
            Route(
                method="POST", path=SITES, summary="Make a site", right=Role.ADMIN,
                handle=self._add, query=Nothing, body=NewSite, answer=Site, status=201,
            ),
            Route(
                method="PUT", path=SITE, summary="Change a site's name or time zone", right=Role.ADMIN,
                handle=self._change, query=Nothing, body=SiteChange, status=204,
            ),
            Route(
                method="DELETE", path=SITE, summary="Delete a site without nodes", right=Role.ADMIN,
                handle=self._delete, query=Nothing, body=Nothing, status=204,
            ),
            Route(
                method="PUT", path="/api/v1/nodes/{node}/site", summary="Say where a node stands", right=Role.ADMIN,
                handle=self._move, query=Nothing, body=Move, status=204,
            ),
        )  # fmt: skip

    async def _organisations(self, call: Call[Paged, Nothing]) -> Listed[Organisation]:
        limit = call.query.limit
        found = await self._sites.organisations(call.caller.name, name_before(call.query.after), limit + 1)
        return listed(found, limit, itself, lambda one: (one.id,))

    async def _add_organisation(self, call: Call[Nothing, NewOrganisation]) -> Organisation:
        if not call.caller.may(Role.ADMIN):
            raise ApiError(403, "that wants the role admin everywhere")
        made = Organisation(_id(call.body.id, call.body.name), _checked_name(call.body.name))
        if not await self._sites.add_organisation(made, call.now):
            raise ApiError(409, f"there is an organisation {made.id} already")
        await self._acts.note(call, "made an organisation", made.id, made.name, place=Place(made.id))
        return made

    async def _rename(self, call: Call[Nothing, Rename]) -> None:
        name = _checked_name(call.body.name)
        await self._sites.rename_organisation(call.place.organisation, name)
        await self._acts.note(call, "renamed an organisation", call.place.organisation, name)

    async def _delete_organisation(self, call: Call[Nothing, Nothing]) -> None:
        if not call.caller.may(Role.ADMIN):
            raise ApiError(403, "that wants the role admin everywhere")
        if not await self._sites.delete_organisation(call.place.organisation):
            raise ApiError(409, "it has sites: move or delete them first")
        await self._acts.note(call, "deleted an organisation", call.place.organisation)

    async def _list(self, call: Call[SitesQuery, Nothing]) -> Listed[Site]:
        query = call.query
        found = await self._sites.sites(
            call.caller.name, name_before(query.after), query.limit + 1, query.organisation
        )  # fmt: skip
        return listed(found, query.limit, itself, lambda one: (one.id,))

    async def _add(self, call: Call[Nothing, NewSite]) -> Site:
        place = await self._tenants.place_of_organisation(call.body.organisation)
        _check_admin(call, place)
        site = Site(
            _id(call.body.id, call.body.name), call.body.organisation, _checked_name(call.body.name),
            _checked_zone(call.body.timezone),
        )  # fmt: skip
        if not await self._sites.add_site(site, call.now):
            raise ApiError(409, f"there is a site {site.id} already")
        place = Place(site.organisation, site.id)
        await self._acts.note(call, "made a site", site.id, site.name, place=place)
        return site

    async def _change(self, call: Call[Nothing, SiteChange]) -> None:
        now = await self._sites.site(call.place.site)
        if now is None:
            raise ApiError(*NOT_THERE)
        name = now.name if call.body.name is None else _checked_name(call.body.name)
        zone = now.timezone if call.body.timezone is None else _checked_zone(call.body.timezone)
        await self._sites.change_site(now.id, name, zone)
        await self._acts.note(call, "changed a site", now.id, f"{name}, {zone}")

    async def _delete(self, call: Call[Nothing, Nothing]) -> None:
        if not call.caller.may(Role.ADMIN, Place(call.place.organisation)):
            raise ApiError(403, "that wants the role admin in its organisation")
        if not await self._sites.delete_site(call.place.site):
            raise ApiError(409, "it has nodes: move them first")
        await self._acts.note(call, "deleted a site", call.place.site)

    async def _move(self, call: Call[Nothing, Move]) -> None:
        node, site = call.path["node"], call.body.site
        to = await self._tenants.place_of_site(site) if site is not None else NOWHERE
        _check_admin(call, to)
        await self._sites.move(node, site)
        words = f"from {call.place.site or 'nowhere'} to {site or 'nowhere'}"
        await self._acts.note(call, "moved a node", node, words)
        if to is not None and to != call.place:
            await self._acts.note(call, "moved a node", node, words, place=to)


def _check_admin(call: Call[Any, Any], place: Place | None) -> None:
    """Of a place that the body names. Raises ApiError; one that is not the caller's to see is not there."""
    if place is None or not (call.caller.may(Role.VIEWER, place) or place == NOWHERE):
        raise ApiError(*NOT_THERE)
    if not call.caller.may(Role.ADMIN, place):
        raise ApiError(403, f"that wants the role {Role.ADMIN} there")


def _id(given: str | None, name: str) -> str:
    made = given or slug_of(name)
    if not made or made == EVERYWHERE:
        raise ApiError(400, "id: no id can be made of this name: give one of small letters, digits and hyphens")
    return made


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name.strip())
    if not name or not name.isprintable():
        raise ApiError(400, "name: expected printable characters")
    return name


def _checked_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (LookupError, ValueError, OSError) as error:  # a folder of zones is an OSError
        raise ApiError(400, f"timezone: {name!r} is no IANA time zone, as Europe/Warsaw is") from error
