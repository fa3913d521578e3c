"""A hub whose nodes say what a test wants, at times that it chooses; one look is half a minute."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sync import wire
from sync.hub.alerts.delivery import Delivery, Sender
from sync.hub.alerts.receivers import Receiver, Receivers
from sync.hub.alerts.settings import AlertsConfig
from sync.hub.alerts.store import Alert, Alerts
from sync.hub.alerts.watch import Watch
from sync.hub.store.commandstore import Beat
from sync.hub.store.contract import Store
from sync.hub.web.rights import Caller, Grant, Role
from tests.hub.clock import StoppedClock
from tests.hub.places import put_node, put_site

ALL = Caller("operator", (Grant(Role.ADMIN),))
LOOK_S = 30


def beat(at: int, **more: Any) -> wire.Heartbeat:
    """Of a gateway that is well."""
    well = {"version": "1", "now": at, "uptime_s": 1.0, "clock": "kernel", "faults": (), "silent": {}}
    return wire.Heartbeat(**{**well, "disk_free": 10**10, **more})


class Fleet:
    """`store` with the watch over it. What nodes say with each look stands in `says`; None: nothing."""

    def __init__(
        self, store: Store, ways: Mapping[str, Sender] | None = None, config: AlertsConfig | None = None
    ) -> None:
        self.config = config or AlertsConfig()
        self.store = store
        self.clock = StoppedClock()
        self.alerts, self.receivers = Alerts(store.sql), Receivers(store.sql)
        self.says: dict[str, Mapping[str, Any] | None] = {"mill": {}}
        self.ways = ways or {}
        self.start()

    def start(self) -> None:
        """As after a restart of the hub."""
        self.watch = Watch(self.alerts, self.config, self.clock)
        self.delivery = Delivery(self.receivers, self.ways, self.config, self.clock)

    async def pass_on(self, minutes: float, look_s: int = LOOK_S) -> None:
        """Let time go by, with a look every `look_s`."""
        for _ in range(round(60 * minutes / look_s)):
            self.clock.now += 1000 * look_s
            for node, said in self.says.items():
                if said is not None:
                    body = msgspec.json.encode(beat(self.clock.now, **said))
                    await self.store.control.beat(Beat(node, self.clock.now, body))
            await self.watch.look(self.clock.now)
            await self.delivery.turn(self.clock.now)

    async def stands(self) -> list[str]:
        """The kinds, of a device with its name."""
        return sorted(_name(alert) for alert in await self.alerts.listed(ALL, "standing"))

    async def was(self) -> list[Alert]:
        return await self.alerts.listed(ALL, "all")

    async def at_site(self, node: str, site: str, organisation: str) -> None:
        await put_site(self.store.sql, site, organisation, f"the {site}")
        await put_node(self.store.sql, node, site)

    async def told(
        self, name: str = "r", kind: str = "webhook", address: str = "https://example.com/", **more: Any
    ) -> Receiver:
        """A receiver for everything."""
        fields: dict[str, Any] = {
            "organisation": "",
            "site": "",
            "secret": "s" * 32,
            "kinds": "",
            "every_s": 0,
            "per_hour": 1000,
        }
        one = Receiver(id=name, kind=kind, address=address, **{**fields, **more})  # type: ignore[arg-type]  # a Literal
        await self.receivers.add(one, self.clock.now)
        return one


def _name(alert: Alert) -> str:
    return f"{alert.kind} {alert.device}".strip()
