"""The watch over the fleet, put together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.core.clock import Clock
from sync.hub.alerts.api import AlertApi
from sync.hub.alerts.delivery import Delivery, Sender
from sync.hub.alerts.mail import Mail
from sync.hub.alerts.page import AlertPages
from sync.hub.alerts.receiverapi import ReceiverApi
from sync.hub.alerts.receivers import Receivers
from sync.hub.alerts.settings import AlertsConfig
from sync.hub.alerts.store import Alerts
from sync.hub.alerts.watch import Watch
from sync.hub.alerts.webhook import Webhooks
from sync.hub.people.acts import Acts
from sync.hub.store.chores import Chore
from sync.hub.store.sql import Sql
from sync.hub.web.api import Route
from sync.hub.web.part import Part
from sync.hub.web.shell import Page
from sync.hub.web.tenants import Tenants


class Alerting(Part):
    """Files in `config` are relative to `folder`; `url`: where people reach the hub."""

    def __init__(
        self, config: AlertsConfig, sql: Sql, tenants: Tenants, acts: Acts, clock: Clock, folder: Path,
        url: str | None = None,
    ) -> None:  # fmt: skip
        self.alerts = Alerts(sql)
        self.watch = Watch(self.alerts, config, clock)
        self.receivers = Receivers(sql)
        ways: dict[str, Sender] = {"webhook": Webhooks(config.webhooks), "email": Mail(config.smtp, folder)}
        self.delivery = Delivery(self.receivers, ways, config, clock, url)
        receivers = ReceiverApi(self.receivers, self.delivery, tenants, acts, config.webhooks, clock)
        self._apis = AlertApi(self.alerts, acts), receivers
        self._sends_mail = config.smtp is not None

    def chores(self) -> Sequence[Chore]:
        return (*self.watch.chores(), *self.delivery.chores())

    def routes(self) -> Sequence[Route[Any, Any]]:
        return [route for api in self._apis for route in api.routes()]

    def pages(self) -> Sequence[Page[Any]]:
        return AlertPages(self.alerts, self.receivers, sends_mail=self._sends_mail).pages()
