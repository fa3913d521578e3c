"""What a node's page says beside its values: alerts that stand, the last commands, its enrolment, where it stands."""

from typing import Any

import msgspec

from gateway.core import wording
from sync.hub.alerts.page import alert_what
from sync.hub.alerts.store import Alert, Alerts
from sync.hub.enrol.enrolled import Hardware
from sync.hub.fleet.commandcourse import command_view
from sync.hub.people.sites import Site, Sites
from sync.hub.store.commandstore import CommandStore, Ordered
from sync.hub.store.sql import Sql
from sync.hub.web.api import NOT_THERE, ApiError, Call
from sync.hub.web.rights import Place, Role

ENROLLED = "SELECT revoked, hardware FROM node WHERE id = $1"
ALERTS_SHOWN, COMMANDS_SHOWN, SITES_SHOWN = 20, 5, 500


class Facts(msgspec.Struct, frozen=True):
    """`sites`: where the caller may move it to. `revoked`: when, in ms; None: it is not."""

    alerts: list[Alert]
    commands: list[Ordered]
    hardware: Hardware | None
    revoked: int | None
    sites: list[Site]


class NodeFacts:
    def __init__(self, sql: Sql, commands: CommandStore, alerts: Alerts) -> None:
        self._sql = sql
        self._commands = commands
        self._alerts = alerts
        self._sites = Sites(sql)

    async def of(self, call: Call[Any, Any]) -> Facts:
        """Of the node that `call` names. Raises ApiError where there is none, StorageError."""
        node, caller = call.path["node"], call.caller
        rows = await self._sql.fetch(ENROLLED, node)
        if not rows:
            raise ApiError(*NOT_THERE)
        revoked, hardware = rows[0]
        sites = []
        if caller.may(Role.ADMIN, call.place):
            known = await self._sites.sites(caller.name, "", SITES_SHOWN)
            sites = [site for site in known if caller.may(Role.ADMIN, Place(site.organisation, site.id))]
        return Facts(
            await self._alerts.listed(caller, "standing", node=node, most=ALERTS_SHOWN),
            await self._commands.commands(node, COMMANDS_SHOWN),
            msgspec.json.decode(hardware, type=Hardware) if hardware is not None else None,
            revoked,
            sites,
        )


def facts_view(facts: Facts, now: int) -> dict[str, Any]:
    """As the page shows them; pure."""
    return {
        "alerts": [_alert(alert, now) for alert in facts.alerts],
        "commands": [command_view(one) for one in facts.commands],
        "revoked": f"revoked {wording.age_text(now - facts.revoked)} ago" if facts.revoked is not None else "",
        "enrolled": _enrolled(facts.hardware),
        "sites": [{"id": site.id, "name": f"{site.name} ({site.organisation})"} for site in facts.sites],
    }


def _alert(alert: Alert, now: int) -> dict[str, Any]:
    return {
        "id": alert.id,
        "what": alert_what(alert),
        "words": alert.words,
        "since": f"since {wording.utc_text(alert.since)} UTC, for {wording.span_text(now - alert.since)}",
        "seen": f"seen by {alert.acknowledged_by}" if alert.acknowledged is not None else "",
    }


def _enrolled(hardware: Hardware | None) -> dict[str, str]:
    """What is known of it, by name."""
    if hardware is None:
        return {}
    told = {
        "Enrolled": f"{wording.utc_text(hardware.at)} UTC" if hardware.at else "",
        "Serial": hardware.serial,
        "MAC": hardware.mac,
        "Release then": hardware.version,
        "Address then": hardware.address,
    }
    return {name: text for name, text in told.items() if text}
