"""The live view, and what the running site tells the page of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.errors import DeviceError
from gateway.core.model import Layout, Point, Record
from gateway.core.status import SiteState, SyncState
from gateway.live import Live
from gateway.site import REPEAT_S, RunningSite
from tests.local_ui.parts import NOW
from tests.values import meter, power

A, B = meter("a"), meter("b")
COUNTERS = Layout("a", "slow", (Point("energy", "u32", unit="Wh"),))
SILENT = DeviceError("no answer from unit 3", hint="check the wiring")


class ManualClock:
    def __init__(self) -> None:
        self.now = NOW

    def wall_ms(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return self.now / 1000


def live_of_two(clock: ManualClock | None = None) -> Live:
    live = Live(clock or ManualClock())
    live.add("a", "meter", "counter")
    live.add("b", "meter", "counter")
    return live


@asynccontextmanager
async def running(folder: Path, live: Live, repeat_s: float = REPEAT_S) -> AsyncIterator[tuple[RunningSite, Buffer]]:
    buffer = await Buffer.open(folder / "buffer.db")
    try:
        yield RunningSite("Mill", buffer, live, ManualClock(), lambda: SyncState(hub=""), repeat_s=repeat_s), buffer
    finally:
        await buffer.close()


def names(state: SiteState) -> list[str]:
    return [device.name for device in state.devices]


async def settled() -> None:
    """Let every task go as far as it can without time passing."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_device_that_was_not_read_yet_is_starting_and_has_no_readings() -> None:
    first, _ = live_of_two().devices()
    assert (first.presence, first.ts, first.readings) == ("starting", 0, ())


def test_only_the_devices_that_changed_since_a_version_are_given_in_the_order_they_were_added() -> None:
    live = live_of_two()
    seen = live.changed.reached
    assert live.devices(seen) == ()
    live.took(B, power(NOW, 5, layout=B))
    assert [device.name for device in live.devices(seen)] == ["b"]
    live.took(A, power(NOW, 5, layout=A))
    assert [device.name for device in live.devices(seen)] == ["a", "b"]


def test_an_older_record_does_not_replace_a_newer_one_and_is_no_change() -> None:
    live = live_of_two()
    live.took(A, power(NOW, 700, layout=A))
    seen = live.changed.reached
    live.took(A, power(NOW - 1, 600, layout=A))
    assert live.devices(seen) == ()
    assert live.devices()[0].readings[0].value == 700


def test_the_groups_of_a_device_are_shown_together_with_the_time_of_the_newest() -> None:
    live = live_of_two()
    live.took(COUNTERS, Record(COUNTERS.id, NOW - 9000, COUNTERS.rows.pack([4200])))
    live.took(A, power(NOW, 700, layout=A))
    device = live.devices()[0]
    assert {reading.key: reading.value for reading in device.readings} == {"energy": 4200, "power": 700, "voltage": 230}
    assert device.ts == NOW


def test_a_device_that_goes_offline_keeps_its_last_readings_and_says_what_to_do() -> None:
    live = live_of_two()
    live.found("a")
    live.took(A, power(NOW, 700, layout=A))
    assert live.lost("a", SILENT)
    device = live.devices()[0]
    assert (device.presence, device.reason) == ("offline", "no answer from unit 3; check the wiring")
    assert (device.readings[0].value, device.ts) == (700, NOW)


def test_being_lost_again_is_no_news_and_being_found_clears_the_reason() -> None:
    clock = ManualClock()
    live = live_of_two(clock)
    live.lost("a", SILENT)
    seen = live.changed.reached
    clock.now += 5000
    assert not live.lost("a", SILENT)
    assert live.devices(seen) == ()
    assert not live.lost("a", DeviceError("connection refused"))
    assert (live.devices(seen)[0].reason, live.devices()[0].since) == ("connection refused", NOW)
    assert live.found("a")
    assert (live.devices()[0].presence, live.devices()[0].reason, live.devices()[0].since) == ("online", "", NOW + 5000)


async def test_changes_begin_with_the_whole_site_and_go_on_with_what_changed(tmp_path: Path) -> None:
    async with running(tmp_path, live_of_two()) as (site, _), aclosing(site.changes()) as changes:
        assert names(await anext(changes)) == ["a", "b"]
        site.took(B, power(NOW, 5, layout=B))
        assert names(await anext(changes)) == ["b"]
        site.lost("a", SILENT)
        assert names(await anext(changes)) == ["a"]


async def test_a_site_without_devices_has_a_first_state_too(tmp_path: Path) -> None:
    async with running(tmp_path, Live(ManualClock())) as (site, _), aclosing(site.changes()) as changes:
        assert names(await anext(changes)) == []


async def test_changes_close_together_come_as_one(tmp_path: Path) -> None:
    async with running(tmp_path, live_of_two()) as (site, _), aclosing(site.changes()) as changes:
        await anext(changes)
        upcoming = asyncio.ensure_future(anext(changes))
        await settled()
        site.took(A, power(NOW, 5, layout=A))
        await settled()
        site.took(B, power(NOW, 5, layout=B))
        assert names(await upcoming) == ["a", "b"]


async def test_without_a_change_the_page_is_told_of_buffer_and_sync_alone(tmp_path: Path) -> None:
    async with running(tmp_path, live_of_two(), repeat_s=0) as (site, buffer), aclosing(site.changes()) as changes:
        await anext(changes)
        buffer.put(A, [power(NOW, 5, layout=A)])
        await buffer.flushed()
        repeated = await anext(changes)
    assert (names(repeated), repeated.buffer.head) == ([], 1)


async def test_only_the_first_loss_and_the_return_become_events(tmp_path: Path) -> None:
    async with running(tmp_path, live_of_two()) as (site, buffer):
        site.lost("a", SILENT)
        site.lost("a", SILENT)
        site.found("a")
        site.found("a")
        await buffer.flushed()
        rows = await buffer._database.fetch("SELECT kind, device FROM event ORDER BY seq")
    assert [tuple(row) for row in rows] == [("device_offline", "a"), ("device_online", "a")]


async def test_after_the_clock_was_set_back_new_readings_are_shown_again() -> None:
    clock = ManualClock()
    live = live_of_two(clock)
    live.took(A, power(NOW, 5, layout=A))
    live.took(A, power(NOW - 1000, 6, layout=A))
    assert live.devices()[0].ts == NOW, "it only came late"
    clock.now -= 3_600_000
    live.took(A, power(clock.now, 7, layout=A))
    assert live.devices()[0].ts == clock.now


async def test_history_is_in_the_points_unit_and_unknown_names_are_key_errors(tmp_path: Path) -> None:
    async with running(tmp_path, live_of_two()) as (site, buffer):
        for ms in (NOW, NOW + 1000):
            site.took(A, power(ms, 700, layout=A))
        await buffer.flushed()
        history = await site.history("a", "voltage", NOW + 1, NOW + 2000)
        assert [(row.ts, row.value) for row in history.rows] == [(NOW + 1000, 230.0)]
        for device, key in (("a", "none"), ("nobody", "power")):
            with pytest.raises(KeyError):
                await site.history(device, key, NOW, NOW + 1)
