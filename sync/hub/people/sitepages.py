"""The page /sites: organisations, their sites, and how many nodes stand there."""

from collections.abc import Sequence
from typing import Any

from sync.hub.people.sites import Organisation, Site, Sites
from sync.hub.web.api import Call, Nothing
from sync.hub.web.paging import After, itself, listed, name_before
from sync.hub.web.rights import Place, Role
from sync.hub.web.shell import ListShown, Page

SHOWN = 200


class SitesShown(ListShown, frozen=True):
    organisations_after: After = ""


class SitePages:
    """What it does goes through the API."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(path="/sites", template="sites.html", right=Role.VIEWER, view=self._view, query=SitesShown,
                 nav="Sites"),
        )  # fmt: skip

    async def _view(self, call: Call[SitesShown, Nothing]) -> dict[str, object]:
        name, query = call.caller.name, call.query
        organisations = await self._sites.organisations(name, name_before(query.organisations_after), SHOWN + 1)
        sites = await self._sites.sites(name, name_before(query.after), SHOWN + 1)
        some = listed(organisations, SHOWN, itself, lambda one: (one.id,))
        piece = listed(sites, SHOWN, itself, lambda one: (one.id,))
        shown = [_site_view(one, call) for one in piece.items]
        return {
            "organisations": [_organisation_view(one, call) for one in some.items],
            "organisations_next": some.next,
            "sites": shown,
            "stands": [one for one in shown if one["may"]],
            "next": piece.next,
            "may_make": call.caller.may(Role.ADMIN),
            "homes": [one.id for one in some.items if call.caller.may(Role.ADMIN, Place(one.id))],
        }


def _organisation_view(one: Organisation, call: Call[Any, Any]) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "sites": f"{one.sites:,}",
        "may": call.caller.may(Role.ADMIN, Place(one.id)),
        "may_delete": call.caller.may(Role.ADMIN) and not one.sites,
    }


def _site_view(one: Site, call: Call[Any, Any]) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "organisation": one.organisation,
        "timezone": one.timezone,
        "nodes": f"{one.nodes:,}",
        "may": call.caller.may(Role.ADMIN, Place(one.organisation, one.id)),
        "may_delete": call.caller.may(Role.ADMIN, Place(one.organisation)) and not one.nodes,
    }
