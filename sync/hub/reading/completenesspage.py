"""The page of a node's completeness: a month of hours of each device, expected against held (P10)."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

import msgspec

from gateway.core.localtime import DAY, begin_of, days_in_month, local, zone_named
from gateway.core.rollup import HOUR_MS
from sync.hub.reading.completeness import Completeness
from sync.hub.reading.hourcalendar import HOURS, calendar_view, device_view, months_hours
from sync.hub.web.api import Call, Nothing
from sync.hub.web.paging import Name
from sync.hub.web.rights import Role
from sync.hub.web.shell import NoQuery, Page

SHOWN_MAX = 3  # calendars on one page; of more devices each has its own
MONTH = r"^(19[7-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])\Z"


class CompletenessShown(NoQuery, frozen=True):
    month: Annotated[str, msgspec.Meta(pattern=rf"{MONTH}|^\Z")] = ""
    device: Name = ""


class Counting(Protocol):
    async def of(self, node: str, since: int, until: int, step: int, now: int) -> Completeness:
        """See `sync.hub.reading.completeness.CompletenessApi`."""
        ...


class Zones(Protocol):
    async def timezone(self, node: str) -> str:
        """Of its site, by its IANA name; empty: it has none. Raises StorageError."""
        ...


class CompletenessPages:
    """/nodes/{node}/completeness."""

    def __init__(self, counting: Counting, zones: Zones) -> None:
        self._counting = counting
        self._zones = zones

    def pages(self) -> Sequence[Page[Any]]:
        return (
            Page(
                path="/nodes/{node}/completeness", template="completeness.html", right=Role.VIEWER, view=self._view,
                query=CompletenessShown, under="/",
            ),
        )  # fmt: skip

    async def _view(self, call: Call[CompletenessShown, Nothing]) -> Mapping[str, object]:
        node, query = call.path["node"], call.query
        zone = _zone(await self._zones.timezone(node))
        today = local(call.now, zone).date()
        first = date.fromisoformat(f"{query.month}-01") if query.month else today.replace(day=1)
        since, until = months_hours(first, zone)
        found = await self._counting.of(node, since, until, HOUR_MS, call.now)
        return {"node": node, "zone": zone.key, **month_view(found, first, zone, query.device, call.now)}


def month_view(found: Completeness, first: date, zone: ZoneInfo, device: str, now: int) -> dict[str, Any]:
    """The month that begins on `first`; pure. `device`: the one that is shown; empty: all, or the first of many."""
    names = [one.device for one in found.devices]
    shown = [device] if device in names else names if len(names) <= SHOWN_MAX else names[:1]
    after = first + DAY * days_in_month(first)
    return {
        "month": f"{first:%Y-%m}",
        "title": f"{first:%B %Y}",
        "before": f"{first - DAY:%Y-%m}" if first.year > 1970 else "",
        "after": f"{after:%Y-%m}" if begin_of(after, zone) <= now else "",
        "device": device if device in names else "",
        "devices": [device_view(found, one) | {"here": one.device in shown} for one in found.devices],
        "hours": [f"{hour:02}" for hour in HOURS],
        "calendars": [calendar_view(found, one, zone) for one in found.devices if one.device in shown],
        "range": f"since={found.since}&until={found.until}",
    }


def _zone(name: str) -> ZoneInfo:
    """UTC where there is none, or one that this machine does not know."""
    try:
        return zone_named(name or "UTC")
    except ValueError:
        return ZoneInfo("UTC")
