"""A month of one device, hour by hour: how much is held of what there should be, as a page shows it; pure."""

from collections.abc import Iterable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from gateway.core.localtime import DAY, begin_of, days_in_month, local
from gateway.core.rollup import HOUR_MS
from sync.hub.reading.completeness import Completeness, DeviceHours

WHOLE = 0.98  # of what there should be, which is an estimate: a poll or two may come late
HOURS = range(24)


class Held(msgspec.Struct, frozen=True):
    """Of some hours: how many records are held, how many there should be (None: nobody knows), how many more the node
    has by its own account."""

    held: int = 0
    expected: int | None = 0
    lacking: int = 0

    def __add__(self, other: "Held") -> "Held":
        known = self.expected is not None and other.expected is not None
        expected = (self.expected or 0) + (other.expected or 0) if known else None
        return Held(self.held + other.held, expected, self.lacking + other.lacking)

    @property
    def mark(self) -> str:
        """whole, some, none, unknown; empty: nothing is here, and nothing should be."""
        if self.expected is None:
            return "unknown"
        if not self.held:
            return "none" if self.expected or self.lacking else ""
        return "whole" if self.held >= WHOLE * self.expected and not self.lacking else "some"

    @property
    def share(self) -> str:
        """In hundredths, never rounded up to whole; empty where there is nothing to be a part of."""
        if not self.expected:
            return "?" if self.expected is None else "100" if self.held else ""
        return str(min(100, 100 * self.held // self.expected))

    @property
    def words(self) -> str:
        should = "nobody knows how many there should be" if self.expected is None else f"of {self.expected:,} expected"
        said = f"{self.held:,} records, {should}" if self.expected is None else f"{self.held:,} records {should}"
        return f"{said}; {self.lacking:,} more at the node" if self.lacking else said


def months_hours(first: date, zone: ZoneInfo) -> tuple[int, int]:
    """since <= ts < until of the hours that begin in the month of the day `first`, in ms.

    Hours are those of UTC: in a zone that is half an hour off they begin in the middle of its own.
    """
    since, until = begin_of(first, zone), begin_of(first + DAY * days_in_month(first), zone)
    return -(-since // HOUR_MS) * HOUR_MS, -(-until // HOUR_MS) * HOUR_MS


def total(hours: Iterable[Held]) -> Held:
    found = Held()
    for one in hours:
        found += one
    return found


def device_view(found: Completeness, device: DeviceHours) -> dict[str, Any]:
    """Its month as one line."""
    whole = total(map(Held, device.held, device.expected, device.lacking))
    return {
        "name": device.device,
        "mark": whole.mark,
        "share": f"{whole.share} %" if whole.share not in ("", "?") else "–",
        "held": f"{whole.held:,}",
        "expected": "not known" if whole.expected is None else f"{whole.expected:,}",
        "lacking": f"{whole.lacking:,}" if whole.lacking else "",
    }


def calendar_view(found: Completeness, device: DeviceHours, zone: ZoneInfo) -> dict[str, Any]:
    """A row a day, a cell an hour of the wall clock: none where the clock leaves it out, two in one where it has it
    twice."""
    days: dict[date, dict[int, Held]] = {}
    for at, numbers in enumerate(zip(device.held, device.expected, device.lacking, strict=True)):
        begin = local(found.since + at * HOUR_MS, zone)
        hours = days.setdefault(begin.date(), {})
        hours[begin.hour] = hours.get(begin.hour, Held()) + Held(*numbers)
    return {"name": device.device, "days": [_day(day, hours) for day, hours in days.items()]}


def _day(day: date, hours: dict[int, Held]) -> dict[str, Any]:
    whole = total(hours.values())
    return {
        "day": f"{day:%a %d}",
        "date": f"{day}",
        "cells": [_cell(day, hour, hours.get(hour)) for hour in HOURS],
        "mark": whole.mark,
        "share": f"{whole.share} %" if whole.mark in ("whole", "some", "none") and whole.share else "",
        "held": f"{whole.held:,}" if whole.mark else "",
        "words": whole.words,
    }


def _cell(day: date, hour: int, held: Held | None) -> dict[str, str]:
    if held is None:
        return {"mark": "left-out", "text": "", "words": f"{day} {hour:02}:00: the clock leaves this hour out"}
    if not held.mark:
        return {"mark": "", "text": "", "words": f"{day} {hour:02}:00: nothing here, nothing expected"}
    return {
        "mark": held.mark + (" lacks" if held.lacking else ""),
        "text": held.share + ("!" if held.lacking else ""),
        "words": f"{day} {hour:02}:00: {held.words}",
    }
