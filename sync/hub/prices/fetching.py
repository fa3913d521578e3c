"""Getting prices: tomorrow's once they are published, and what is missing of the days before; politely."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from gateway.core.localtime import DAY, begin_of, days, local, minutes_of
from sync.hub.prices.asking import Asker
from sync.hub.prices.generic import Generic
from sync.hub.prices.provider import PriceError, Provider, whole_day
from sync.hub.prices.pse import Pse
from sync.hub.prices.settings import AreaConfig, PricesConfig
from sync.hub.prices.store import Prices

EVERY_S = 300.0
AT_ONCE = 5  # days that are asked for in one turn of an area
JITTER_MS = 20 * 60_000  # so late after the publication a hub asks, each at another time
AGAIN_MS = (10 * 60_000, 3 * 3_600_000)  # after a day that did not come: so long, then double, at most

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Area:
    """`published`: the local time of day at which the next day's prices are there."""

    name: str
    zone: ZoneInfo
    provider: Provider
    published: time


def areas_of(config: PricesConfig, asker: Asker) -> list[Area]:
    return [_area(area, asker) for area in config.areas]


def _area(config: AreaConfig, asker: Asker) -> Area:
    zone = ZoneInfo(config.timezone)
    provider: Provider
    if config.document is not None:
        provider = Generic(asker, config.document, zone)
    else:
        provider = Pse(asker, config.url) if config.url else Pse(asker)
    return Area(config.name, zone, provider, time.fromisoformat(config.published))


@dataclass(slots=True)
class _Patience:
    """Of one day that did not come."""

    tries: int
    not_before: int  # wall ms


class Fetching:
    """A chore's work. `troubles`: why an area's prices did not come, where they did not, by its name."""

    def __init__(self, prices: Prices, areas: Sequence[Area], backfill_days: int, random: Random | None = None) -> None:
        self._prices = prices
        self._areas = areas
        self._backfill = timedelta(days=backfill_days)
        self._random = random or Random()
        self._jitter_ms = round(self._random.uniform(0, JITTER_MS))
        self._waiting: dict[tuple[str, date], _Patience] = {}
        self.troubles: dict[str, str] = {}

    async def work(self, now: int) -> None:
        """One turn. Raises StorageError, and PriceError once all areas had their turn."""
        for area in self._areas:
            try:
                await self._turn(area, now)
                self.troubles.pop(area.name, None)
            except PriceError as error:
                self.troubles[area.name] = error.in_full
        if self.troubles:
            raise PriceError("; ".join(f"{area}: {why}" for area, why in self.troubles.items()))

    async def _turn(self, area: Area, now: int) -> None:
        """Raises the last of its days' PriceErrors."""
        trouble: PriceError | None = None
        due = [day for day in await self.missing(area, now) if self._is_due(area, day, now)]
        for day in due[:AT_ONCE]:
            try:
                if await self.fetch(area, day, now):
                    self._waiting.pop((area.name, day), None)
                    continue
            except PriceError as error:
                trouble = error
            self._later(area, day, now)
        if trouble is not None:
            raise trouble

    async def missing(self, area: Area, now: int) -> list[date]:
        """The days that are not held whole, the newest first, for they are wanted first."""
        today, asked = local(now, area.zone).date(), local(now - self._jitter_ms, area.zone)
        out = asked.date() == today and asked.time() >= area.published
        first, last = today - self._backfill, today + DAY if out else today
        held: Counter[date] = Counter()
        lo, hi = begin_of(first, area.zone), begin_of(last + DAY, area.zone)
        for ts, minutes in await self._prices.minutes(area.name, lo, hi):
            held[local(ts, area.zone).date()] += minutes
        return [day for day in days(first, last + DAY) if held[day] != minutes_of(day, area.zone)][::-1]

    async def fetch(self, area: Area, day: date, now: int) -> bool:
        """Whether the day is published; then it is held from now on. Raises PriceError, StorageError."""
        given = await area.provider.day(area.name, day)
        if not given:
            return False
        prices = whole_day(given, day, area.zone)
        lo, hi = begin_of(day, area.zone), begin_of(day + DAY, area.zone)
        await self._prices.replace(area.name, lo, hi, prices, now, area.provider.source)
        log.info("prices fetched", extra={"area": area.name, "day": str(day), "prices": len(prices)})
        return True

    def _is_due(self, area: Area, day: date, now: int) -> bool:
        waiting = self._waiting.get((area.name, day))
        return waiting is None or now >= waiting.not_before

    def _later(self, area: Area, day: date, now: int) -> None:
        waiting = self._waiting.setdefault((area.name, day), _Patience(0, 0))
        pause = min(AGAIN_MS[0] << min(waiting.tries, 10), AGAIN_MS[1])
        waiting.tries += 1
        waiting.not_before = now + round(pause * self._random.uniform(0.5, 1))
