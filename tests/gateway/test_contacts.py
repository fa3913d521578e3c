"""The connection log: what changed, at once; how all are, every ten minutes; a week of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.busstate import BusWatch
from gateway.contacts import EVERY_S, ContactLog
from gateway.core.errors import DeviceError, StorageError
from gateway.core.statistics import BusStatistics
from gateway.core.status import Contact, SyncState
from gateway.live import Live
from gateway.site import RunningSite
from tests.drivers.manual_clock import ManualClock


class Meter:
    name, role, profile_name, unit_id = "meter", "meter", "pzem-004t", 3

    @property
    def why_missing(self) -> dict[str, str]:
        return {"power": "the device refuses input 3"}


@asynccontextmanager
async def site_with_a_meter(folder: Path, clock: ManualClock) -> AsyncIterator[RunningSite]:
    buffer = await Buffer.open(folder / "buffer.db")
    site = RunningSite("Mill", buffer, Live(clock), clock, lambda: SyncState(hub=""))
    statistics = BusStatistics()
    statistics.unit(3).latencies.append(0.025)
    site.add_bus(BusWatch("bus", "ttyUSB0", "serial", {3: "meter"}, statistics, clock), [Meter()])
    try:
        yield site
    finally:
        await buffer.close()


async def told(site: RunningSite) -> list[tuple[str, str, float | None]]:
    return [(line.status, line.error, line.response_ms) for line in reversed(await site.contacts("meter"))]


async def test_each_change_is_a_line_and_every_ten_minutes_there_is_one_more(tmp_path: Path) -> None:
    clock = ManualClock()
    async with site_with_a_meter(tmp_path, clock) as site:
        site.lost("meter", DeviceError("no answer"))
        site.lost("meter", DeviceError("no answer"))
        clock.go_on(1)
        site.found("meter")
        for _ in range(3):
            clock.go_on(5)
            await site.look_at_buses()
        assert await told(site) == [("offline", "no answer", 25.0), ("online", "", 25.0)]
        clock.go_on(EVERY_S)
        await site.look_at_buses()
        assert (await told(site))[2:] == [("online", "", 25.0)]
        with pytest.raises(KeyError):
            await site.contacts("nobody")


async def test_why_a_value_is_missing_is_told_with_the_device(tmp_path: Path) -> None:
    async with site_with_a_meter(tmp_path, ManualClock()) as site:
        (state,) = site.state().devices
    assert state.why_missing == {"power": "the device refuses input 3"}
    assert (state.bus, state.unit_id) == ("bus", 3)


async def test_who_waits_for_a_device_is_told_when_it_goes_and_comes(tmp_path: Path) -> None:
    heard: list[str] = []
    async with site_with_a_meter(tmp_path, ManualClock()) as site:
        site.watch_presence("meter", found=lambda: heard.append("found"), lost=lambda: heard.append("lost"))
        site.lost("meter", DeviceError("no answer"))
        site.found("meter")
        site.found("meter")
    assert heard == ["lost", "found"]


async def test_lines_wait_while_the_disk_takes_nothing_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    class Disk:
        def __init__(self) -> None:
            self.full = True
            self.lines: list[Contact] = []

        async def log_contacts(self, contacts: list[Contact]) -> None:
            if self.full:
                raise StorageError("full")
            self.lines = contacts

    disk = Disk()
    contacts = ContactLog(disk, ManualClock())
    for number in range(3):
        contacts.note("meter", "offline", str(number), None)
        await contacts.write([])
    disk.full = False
    await contacts.write([])
    assert [line.error for line in disk.lines] == ["0", "1", "2"]
    assert caplog.text.count("connection log not written") == 1
