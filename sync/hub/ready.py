"""GET /readyz: whether this process can do its work, and which check says no; open to all, so without details."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from sync.hub.rollup.rolling import set_aside
from sync.hub.store.chores import Chores
from sync.hub.store.sql import Sql
from sync.hub.web.api import json_response

PATIENCE_S = 5.0  # with one check
KEEP_S = 2.0  # an answer is good for so long: who asks often makes no work
LATE_S = 300.0  # beyond two turns, a chore is late
TOUCH = """INSERT INTO setting (name, value) VALUES ('touched', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value RETURNING value"""
LEASE = "SELECT 1 FROM lease WHERE name = $1 AND until > $2"
OK = "ok"

Check = Callable[[], Awaitable[str]]
"""What is wrong, in words that anybody may read; empty: nothing."""
log = logging.getLogger(__name__)


class Readiness(msgspec.Struct, frozen=True):
    """`checks`: by name "ok", or what is wrong; what begins with "ok, but" does not keep the hub from its work."""

    ready: bool
    checks: dict[str, str]


class Ready:
    """`checks` by name; others may add theirs."""

    def __init__(self, clock: Clock, *, patience_s: float = PATIENCE_S) -> None:
        self.checks: dict[str, Check] = {}
        self._clock = clock
        self._patience_s = patience_s
        self._last: tuple[float, Readiness] | None = None
        self._turn = asyncio.Lock()

    async def handle(self, request: web.Request) -> web.Response:
        """GET /readyz -> Readiness: 200, or 503 where a check says no."""
        async with self._turn:
            now_s = self._clock.monotonic_s()
            if self._last is None or now_s - self._last[0] >= KEEP_S:
                checks = {name: await self._done(name, check) or OK for name, check in self.checks.items()}
                state = Readiness(all(words.partition(",")[0] == OK for words in checks.values()), checks)
                self._last = self._clock.monotonic_s(), state
            state = self._last[1]
        return json_response(200 if state.ready else 503, state)

    async def _done(self, name: str, check: Check) -> str:
        try:
            async with asyncio.timeout(self._patience_s):
                return await check()
        except TimeoutError:
            return f"no answer within {self._patience_s:g} s"
        except StorageError as error:
            log.warning("not ready", extra={"check": name, "why": error.in_full})
            return "the store fails"


def ready_of(chores: Chores, sql: Sql, clock: Clock) -> Ready:
    """With what every process of the hub has to have."""
    ready = Ready(clock)
    ready.checks["store"] = store_takes(sql, clock)
    if (rolled_up := is_done(chores, "roll-ups", sql, clock)) is not None:
        ready.checks["roll-ups"] = none_set_aside(rolled_up, sql, clock)
    return ready


def store_takes(sql: Sql, clock: Clock) -> Check:
    """A small write, and what was written back."""

    async def check() -> str:
        now = str(clock.wall_ms()).encode()
        async with sql.transaction() as db:
            rows = await db.fetch(TOUCH, now)
        return "" if rows and rows[0][0] == now else "the store does not give back what it took"

    return check


def none_set_aside(rolled_up: Check, sql: Sql, clock: Clock) -> Check:
    """`rolled_up`, and whether some hours could not be."""

    async def check() -> str:
        if words := await rolled_up():
            return words
        count, _ = await set_aside(sql, clock.wall_ms())
        return f"{OK}, but {count:,} hours could not be rolled up: the log says why" if count else ""

    return check


def is_done(chores: Chores, name: str, sql: Sql, clock: Clock) -> Check | None:
    """Whether the chore `name` is done in time, here or by another process; None where there is no such chore."""
    chore = next((one for one in chores.all if one.name == name), None)
    if chore is None:
        return None
    late_ms, started = round(1000 * (2 * chore.every_s + LATE_S)), clock.wall_ms()

    async def check() -> str:
        if name in chores.failed:
            return f"the last {name} failed: the log says why"
        now = clock.wall_ms()
        done = chores.done.get(name)
        if now - (started if done is None else done) < late_ms or await sql.fetch(LEASE, name, now):
            return ""
        return f"there were no {name} for {late_ms // 60_000} minutes"

    return check
