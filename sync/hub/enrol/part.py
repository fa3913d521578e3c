"""How gateways come to the hub and leave it, put together."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.core.clock import Clock
from sync.enrol import PATH
from sync.hub.config import NodeConfig
from sync.hub.enrol.api import EnrolApi
from sync.hub.enrol.claims import Claims
from sync.hub.enrol.enrolled import EnrolledNodes
from sync.hub.enrol.enrolment import Enrolment, NodesAtBroker
from sync.hub.enrol.hubaddress import HubAddress
from sync.hub.enrol.pages import EnrolPages
from sync.hub.enrol.registry import Registry
from sync.hub.enrol.unasked import Unasked
from sync.hub.fleet.fleet import Fleet
from sync.hub.intake.door import Door
from sync.hub.intake.longpoll import LongPoll
from sync.hub.people.acts import Acts
from sync.hub.people.signin import PeopleSignIn
from sync.hub.store.contract import Store
from sync.hub.web.api import Route
from sync.hub.web.part import Part
from sync.hub.web.shell import Page
from sync.hub.web.tenants import Tenants


class Coming(Part):
    """`broker`: None where the hub has none that it may administer."""

    def __init__(
        self, store: Store, registry: Registry, broker: NodesAtBroker | None, fleet: Fleet, poll: LongPoll,
        acts: Acts, clock: Clock, signed: PeopleSignIn, address: HubAddress,
    ) -> None:  # fmt: skip
        claims, enrolled, tenants = Claims(store.sql), EnrolledNodes(store.sql), Tenants(store.sql)
        self._registry = registry
        self._enrolment = Enrolment(claims, registry, broker, clock, signed.address, Unasked(store, clock))
        self._api = EnrolApi(claims, registry, enrolled, broker, fleet, store.control, tenants, acts, poll.dismiss)
        self._pages = EnrolPages(enrolled, address)

    def add_to(self, app: web.Application, door: Door, nodes: Sequence[NodeConfig]) -> None:
        """Take what gateways send; `nodes`: those of the hub's file, which are entered when `app` starts."""

        async def take_file(_: web.Application) -> None:
            await self._registry.take_file(nodes)

        app.on_startup.append(take_file)
        app.router.add_post(PATH, self._enrolment.handle)
        door.handlers["secret"] = self._enrolment.take_secret

    def routes(self) -> Sequence[Route[Any, Any]]:
        return self._api.routes()

    def pages(self) -> Sequence[Page[Any]]:
        return self._pages.pages()
