"""A node's completeness as a calendar: of each device a line a day, a cell an hour, expected against held (P10)."""

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.core import wording
from gateway.core.rollup import DAY_MS, HOUR_MS
from sync.hub.api import Call, Nothing
from sync.hub.paging import Ms
from sync.hub.readingcompleteness import Completeness, DeviceHours
from sync.hub.rights import Role
from sync.hub.shell import NoQuery, Page

DAYS = 14  # at once; of UTC, as the hours are kept
WHOLE = 0.98  # of what is expected, which is an estimate


class Shown(NoQuery, frozen=True):
    before: Ms | None = None


class Between(Protocol):
    async def between(self, node: str, since: int, until: int, step: int, now: int) -> Completeness:
        """See `sync.hub.readingcompleteness.CompletenessApi`."""
        ...


class CompletenessPages:
    """/nodes/NODE/completeness."""

    def __init__(self, held: Between) -> None:
        self._held = held

    def pages(self) -> Sequence[Page[Any]]:
        path = "/nodes/{node}/completeness"
        return (Page(path=path, template="completeness.html", right=Role.VIEWER, view=self._view, query=Shown),)

    async def _view(self, call: Call[Shown, Nothing]) -> dict[str, Any]:
        node, until = call.path["node"], min(call.query.before or call.now, call.now)
        since = max(0, -(-until // DAY_MS) - DAYS) * DAY_MS
        found = await self._held.between(node, since, max(until, since + HOUR_MS), HOUR_MS, call.now)
        return {
            "node": node,
            "hours": [f"{hour:02}" for hour in range(24)],
            "devices": [calendar(device, found.since) for device in found.devices],
            "earlier": since,
            "later": since + 2 * DAYS * DAY_MS if until < call.now // DAY_MS * DAY_MS else None,
        }


def calendar(device: DeviceHours, since: int) -> dict[str, Any]:
    """The newest day first; `since` is a midnight of UTC. Pure."""
    hours = list(zip(device.held, device.expected, device.lacking, strict=True))
    days = [(since + at * HOUR_MS, hours[at : at + 24]) for at in range(0, len(hours), 24)]
    return {"name": device.device, "days": [_day(begin, of) for begin, of in reversed(days)]}


def _day(begin: int, hours: Sequence[tuple[int, int | None, int]]) -> dict[str, Any]:
    held, lacking = sum(one[0] for one in hours), sum(one[2] for one in hours)
    known = [one[1] for one in hours if one[1] is not None]
    words = f"{held:,}" + (f" of {sum(known):,}" if len(known) == len(hours) else "")
    return {
        "day": wording.utc_text(begin, "%Y-%m-%d"),
        "cells": [_cell(*hour) for hour in hours] + [{"mark": "not", "text": ""}] * (24 - len(hours)),
        "held": words + (f"; {lacking:,} more at the gateway" if lacking else ""),
    }


def _cell(held: int, expected: int | None, lacking: int) -> dict[str, str]:
    """Its share in per cent, rounded down; nothing where nothing is expected, a question mark where nobody knows."""
    if not held and expected == 0:
        return {"mark": "not", "text": ""}
    if expected is None:
        return {"mark": "some" if held else "not", "text": "?" if held else ""}
    share = 1.0 if held >= expected else held / expected
    mark = "lost" if not held else "whole" if share >= WHOLE and not lacking else "some"
    return {"mark": mark, "text": f"{int(share * 100)}{'!' if lacking else ''}"}
