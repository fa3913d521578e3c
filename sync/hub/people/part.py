"""People, organisations and sites, put together: who signs in, what each may, what they did."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.core.clock import Clock
from sync.hub.people.actpages import ActPages
from sync.hub.people.acts import Acts
from sync.hub.people.peopleapi import PeopleApi
from sync.hub.people.peoplepages import PeoplePages
from sync.hub.people.signin import PeopleSignIn
from sync.hub.people.signinapi import SignInApi
from sync.hub.people.siteapi import SiteApi
from sync.hub.people.sitepages import SitePages
from sync.hub.people.sites import Sites
from sync.hub.store.chores import Chore
from sync.hub.store.sql import Sql
from sync.hub.web.api import Route
from sync.hub.web.part import Part
from sync.hub.web.shell import Page, Shell
from sync.hub.web.tenants import Tenants

TIDY_S = 3600.0


class Tenancy(Part):
    def __init__(self, app: web.Application, sql: Sql, signed: PeopleSignIn, shell: Shell, clock: Clock) -> None:
        """Adds the page where people sign in, which is for everybody."""
        acts, sites = Acts(sql), Sites(sql)
        entrance = SignInApi(signed, acts, shell, clock)
        entrance.add_page(app)
        deeds = ActPages(acts)
        self._apis = entrance, SiteApi(sites, Tenants(sql), acts), PeopleApi(signed, sites, acts), deeds
        self._pages = SitePages(sites), PeoplePages(signed.people, sites), deeds
        self._signed = signed

    def routes(self) -> Sequence[Route[Any, Any]]:
        return [route for api in self._apis for route in api.routes()]

    def pages(self) -> Sequence[Page[Any]]:
        return [page for pages in self._pages for page in pages.pages()]

    def chores(self) -> Sequence[Chore]:
        return (Chore("sign-ins", TIDY_S, self._signed.tidy),)
