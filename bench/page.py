"""A reader of the site's page: notes when each value of point 0 came over the event stream."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

STREAM = "/api/v1/stream"
CLOCK_POINT = "p0"  # of each device: milliseconds since the farm's start
INSTANTS = 50
LINE_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Arrival:
    """One value of `CLOCK_POINT`: when it came, wall time in seconds, and what it was."""

    at: float
    device: str
    value: int


@asynccontextmanager
async def page_reader(port: int) -> AsyncIterator[list[Arrival]]:
    """One reader connected to the page of the gateway at `port`; the list grows as events come.

    Raises RuntimeError where there is no stream, or it ended before the context did.
    """
    arrivals: list[Arrival] = []
    connected = asyncio.Event()
    reading = asyncio.create_task(_read(f"http://127.0.0.1:{port}{STREAM}", arrivals, connected), name="page reader")
    waiting = asyncio.create_task(connected.wait())
    try:
        await asyncio.wait([waiting, reading], return_when=asyncio.FIRST_COMPLETED)
        if connected.is_set():
            yield arrivals
        if reading.done():
            raise RuntimeError(f"the page's event stream ended: {reading.exception()}")
    finally:
        waiting.cancel()
        reading.cancel()
        await asyncio.gather(waiting, reading, return_exceptions=True)


async def _read(url: str, arrivals: list[Arrival], connected: asyncio.Event) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True, read_bufsize=LINE_BYTES_MAX) as session,
        session.get(url) as response,
    ):
        connected.set()
        async for line in response.content:
            at = time.time()
            if line.startswith(b"data:"):
                arrivals += _arrivals(at, json.loads(line[5:]))


def _arrivals(at: float, event: Any) -> Iterator[Arrival]:
    for device in event["devices"]:
        for point in device["points"]:
            if point["key"] == CLOCK_POINT and not point["missing"]:
                yield Arrival(at, device["name"], _whole(point["text"]))


def _whole(text: str) -> int:
    """The whole number that a text for people shows, however it parts the thousands."""
    return int("".join(filter(str.isdigit, text)))


@dataclass(frozen=True, slots=True)
class Ages:
    """In seconds: of a value when it came to the page, and of a change, with its wait for the next poll."""

    value: list[float]
    change: list[float]


def ages(arrivals: list[Arrival], started_s: float, start: float, end: float) -> Ages:
    """The ages of what came at `start <= at < end`; point 0 counts from `started_s`.

    A change happens at any instant between two polls and is seen by the second: `INSTANTS` in
    each gap stand for all.
    """
    value: list[float] = []
    change: list[float] = []
    last: dict[str, Arrival] = {}
    for arrival in arrivals:
        before = last.get(arrival.device)
        last[arrival.device] = arrival
        if before is None or arrival.value == before.value or not start <= arrival.at < end:
            continue  # the same value again is no news
        age = arrival.at - (started_s + arrival.value / 1000)
        gap = (arrival.value - before.value) / 1000
        value.append(age)
        change += [age + gap * (instant + 0.5) / INSTANTS for instant in range(INSTANTS)]
    return Ages(sorted(value), sorted(change))


def quantile(ordered: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `ordered` lies; `ordered` is not empty."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
