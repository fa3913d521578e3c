"""Work on the fleet, put together: configurations, roll-outs, and the course of commands."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.core.clock import Clock
from sync.hub.fleet.commandcourse import Course
from sync.hub.fleet.configapi import ConfigPages
from sync.hub.fleet.configstore import ConfigStore
from sync.hub.fleet.configurations import Configurations
from sync.hub.fleet.fleet import Fleet
from sync.hub.fleet.rolloutapi import RolloutApi
from sync.hub.fleet.rolloutpages import RolloutPages
from sync.hub.fleet.rollouts import EVERY_S, Rollouts
from sync.hub.fleet.rolloutstore import RolloutStore
from sync.hub.intake.door import Door
from sync.hub.people.acts import Acts
from sync.hub.store.chores import Chore
from sync.hub.store.contract import Store
from sync.hub.web.api import Route
from sync.hub.web.part import Part
from sync.hub.web.shell import Page
from sync.hub.web.sse import Pace, Streams


class FleetWork(Part):
    def __init__(
        self, app: web.Application, store: Store, door: Door, fleet: Fleet, acts: Acts, clock: Clock,
        pace: Pace | None = None,
    ) -> None:  # fmt: skip
        """Has the door take reports, and the fleet ask for them; streams end with `app`."""
        streams = Streams(clock, pace)
        app.on_shutdown.append(streams.end)
        self.configurations = Configurations(ConfigStore(store.sql), store.control, fleet, clock)
        fleet.lacks, door.handlers["config"] = self.configurations.lacks, self.configurations.take
        kept = RolloutStore(store.sql)
        self.rollouts = Rollouts(kept, self.configurations, store.control, fleet, clock, kept.standing)
        self._config = ConfigPages(self.configurations, acts)
        self._api = RolloutApi(self.rollouts, kept, acts)
        self._course = Course(store.control, streams, clock)

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (*self._config.routes(), *self._api.routes(), *self._course.routes())

    def pages(self) -> Sequence[Page[Any]]:
        return (*self._config.pages(), *RolloutPages(self._api).pages(), *self._course.pages())

    def chores(self) -> Sequence[Chore]:
        return (Chore("roll-outs", EVERY_S, self.rollouts.turn),)
