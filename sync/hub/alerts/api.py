"""Alerts over HTTP: what stands, what was, and that somebody has seen it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from sync.hub.alerts.causes import Kind
from sync.hub.alerts.store import Alert, Alerts
from sync.hub.people.acts import Acts
from sync.hub.web.api import NOT_THERE, ApiError, Call, Nothing, Route
from sync.hub.web.paging import Listed, Paged, itself, listed, number_before
from sync.hub.web.rights import Place, Role


class AlertQuery(Paged, frozen=True, forbid_unknown_fields=True):
    """Which alerts; empty: any."""

    state: Literal["standing", "ended", "all"] = "standing"
    node: str = ""
    site: str = ""
    kind: Kind | Literal[""] = ""


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done about it, in words."""

    note: Annotated[str, msgspec.Meta(max_length=500)] = ""


class AlertApi:
    """Routes under /api/v1/alerts."""

    def __init__(self, alerts: Alerts, acts: Acts) -> None:
        self._alerts = alerts
        self._acts = acts

    def routes(self) -> Sequence[Route[Any, Any]]:
        return (
            Route(
                method="GET", path="/api/v1/alerts", summary="What is wrong, or was; the newest first",
                right=Role.VIEWER, handle=self._list, query=AlertQuery, body=Nothing, answer=Listed[Alert],
            ),
            Route(
                method="POST", path="/api/v1/alerts/{alert}/acknowledge", summary="Say that an alert is being seen to",
                right=Role.OPERATOR, handle=self._acknowledge, query=Nothing, body=Acknowledgement, answer=Alert,
            ),
        )  # fmt: skip

    async def _list(self, call: Call[AlertQuery, Nothing]) -> Listed[Alert]:
        asked = call.query
        rows = await self._alerts.listed(
            call.caller, asked.state, node=asked.node, site=asked.site, kind=asked.kind,
            before=number_before(asked.after), most=asked.limit + 1,
        )  # fmt: skip
        return listed(rows, asked.limit, itself, lambda alert: (alert.id,))

    async def _acknowledge(self, call: Call[Nothing, Acknowledgement]) -> Alert:
        number = call.path["alert"]
        alert = await self._alerts.one(call.caller, int(number)) if is_number(number) else None
        if alert is None:
            raise ApiError(*NOT_THERE)
        place = Place(alert.organisation, alert.site)
        if not call.caller.may(Role.OPERATOR, place):
            raise ApiError(403, f"that wants the role {Role.OPERATOR}")
        await self._alerts.acknowledge(alert.id, call.caller.name, call.body.note, call.now)
        words = f"{alert.kind} of {alert.node}" + (f": {call.body.note}" if call.body.note else "")
        await self._acts.note(call, "acknowledged alert", number, words, place=place)
        return await self._alerts.one(call.caller, alert.id) or alert


def is_number(text: str) -> bool:
    """Whether it can be the id of a row."""
    return text.isascii() and text.isdecimal() and len(text) <= 18
