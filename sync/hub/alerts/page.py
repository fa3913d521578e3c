"""The page of alerts: what stands, by site; what was; who is told."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from gateway.core.wording import span_text, utc_text
from sync.hub.alerts.causes import KINDS
from sync.hub.alerts.notices import KIND_WORDS
from sync.hub.alerts.receivers import Receiver, Receivers
from sync.hub.alerts.store import COUNTED_MOST, Alert, Alerts
from sync.hub.web.api import Call, Nothing
from sync.hub.web.rights import Caller, Place, Role
from sync.hub.web.shell import NoQuery, Page

STANDING_MAX, ENDED_MAX, RECEIVERS_MAX = 200, 50, 200


class AlertPages:
    """/alerts."""

    def __init__(self, alerts: Alerts, receivers: Receivers, *, sends_mail: bool) -> None:
        self._alerts = alerts
        self._receivers = receivers
        self._sends_mail = sends_mail

    def pages(self) -> Sequence[Page[Any]]:
        view = Page(
            path="/alerts", template="alerts.html", right=Role.VIEWER, view=self._view, query=NoQuery,
            nav="Alerts", count=self._count,
        )  # fmt: skip
        return (view,)

    async def _count(self, caller: Caller) -> str:
        count = await self._alerts.count(caller)
        return f"{count - 1}+" if count == COUNTED_MOST else str(count or "")

    async def _view(self, call: Call[NoQuery, Nothing]) -> dict[str, Any]:
        caller = call.caller
        standing = await self._alerts.listed(caller, "standing", most=STANDING_MAX + 1)
        ended = await self._alerts.listed(caller, "ended", most=ENDED_MAX)
        is_admin = caller.may_somewhere(Role.ADMIN)
        receivers = await self._receivers.listed(caller, most=RECEIVERS_MAX) if is_admin else []
        return alerts_view(standing, ended, receivers, caller, call.now) | {"sends_mail": self._sends_mail}


def alerts_view(
    standing: Sequence[Alert], ended: Sequence[Alert], receivers: Sequence[Receiver], caller: Caller, now: int
) -> dict[str, Any]:
    """As the page shows it; pure."""
    shown = standing[:STANDING_MAX]
    return {
        "title": _title(len(shown), len(standing) > len(shown)),
        "sites": [
            {"name": name, "alerts": [_standing(alert, caller, now) for alert in alerts]}
            for name, alerts in groupby(sorted(shown, key=_place_of), key=_place_of)
        ],
        "ended": [_ended(alert) for alert in ended],
        "may_add": caller.may_somewhere(Role.ADMIN),
        "everywhere": caller.may(Role.ADMIN),
        "receivers": [_receiver(one) for one in receivers],
        "kinds": [{"id": kind, "name": KIND_WORDS[kind]} for kind in KINDS],
    }


def _title(count: int, more: bool) -> str:
    if more:
        return f"more than {count} alerts stand; these are the newest"
    return {0: "nothing is wrong", 1: "1 alert stands"}.get(count, f"{count} alerts stand")


def _place_of(alert: Alert) -> str:
    return alert.site_name or alert.site or "Nodes without a site"


def alert_what(alert: Alert) -> str:
    kind = KIND_WORDS.get(alert.kind, alert.kind)
    return f"{kind}: {alert.device}" if alert.device else kind


def _standing(alert: Alert, caller: Caller, now: int) -> dict[str, Any]:
    seen = ""
    if alert.acknowledged is not None:
        seen = f"seen by {alert.acknowledged_by}, {utc_text(alert.acknowledged)} UTC"
        seen += f": {alert.note}" if alert.note else ""
    return {
        "id": alert.id,
        "node": alert.node,
        "what": alert_what(alert),
        "words": alert.words,
        "since": f"since {utc_text(alert.since)} UTC, for {span_text(now - alert.since)}",
        "often": f"came back {alert.times - 1} times" if alert.times > 1 else "",
        "seen": seen,
        "may_acknowledge": not seen and caller.may(Role.OPERATOR, Place(alert.organisation, alert.site)),
    }


def _ended(alert: Alert) -> dict[str, Any]:
    return {
        "when": utc_text(alert.since),
        "lasted": span_text((alert.ended or alert.since) - alert.since),
        "site": alert.site_name,
        "node": alert.node,
        "what": alert_what(alert),
        "words": alert.words,
        "seen": alert.acknowledged_by,
    }


def _receiver(one: Receiver) -> dict[str, Any]:
    kinds = ", ".join(KIND_WORDS.get(kind, kind) for kind in one.kinds.split(",") if kind)
    return {
        "id": one.id,
        "kind": {"email": "e-mail", "webhook": "webhook"}[one.kind],
        "address": one.address,
        "scope": one.site or one.organisation or "everywhere",
        "kinds": kinds or "all alerts",
        "limits": f"at most {one.per_hour} messages an hour, {one.every_s} s apart",
        "last": f"last sent {utc_text(one.last_sent)} UTC" if one.last_sent else "nothing sent yet",
        "error": one.error,
    }
