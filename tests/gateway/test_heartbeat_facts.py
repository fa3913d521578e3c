"""What a heartbeat says of its gateway."""

from pathlib import Path

import msgspec

from gateway.buffer.buffer import Buffer
from gateway.config import Config
from gateway.control import Control
from gateway.core.clock import SystemClock
from gateway.core.status import BufferState, DeviceState, SiteState, SyncState
from gateway.health import faults, problems, silent
from gateway.timekeeping import Timekeeper
from gateway.trial import Trials
from sync.wire import Heartbeat
from tests.local_ui.parts import FakeSite


async def test_a_heartbeat_goes_out_though_the_buffers_disk_is_away(tmp_path: Path) -> None:
    folder, site = tmp_path / "data", tmp_path / "etc" / "site.yaml"
    for needed in (folder, site.parent):
        needed.mkdir()
    site.write_text("{}")
    buffer = await Buffer.open(folder / "buffer.db")
    clock = Timekeeper(SystemClock(), await buffer.begin_boot(SystemClock()))
    control = Control(
        Config(), Trials(site), lambda text: Config(), None, buffer, FakeSite().state, clock, lambda: None
    )
    told = await control.heartbeat()
    assert 0 < told.disk_free < told.disk_total
    folder.rename(tmp_path / "elsewhere")
    told = await control.heartbeat()
    assert (told.disk_free, told.disk_total) == (0, 0)
    await buffer.close()
    for job in control.jobs().values():
        job.close()


def test_devices_that_do_not_answer_are_told_with_their_silence_and_not_twice() -> None:
    devices = [DeviceState(f"d{n}", "other", "p", "offline", since=1000 * n) for n in range(120)]
    online = DeviceState("well", "other", "p", "online", since=0)
    buffer = BufferState(0, 0, error="the disk takes nothing")
    state = SiteState("s", "1", 500_000, (*devices, online), buffer, SyncState(""))
    assert len(silent(state)) == 100
    assert silent(state)["d7"] == 493
    assert "d119" not in silent(state)  # it has been so for the shortest time
    assert faults(state) == ("nothing can be stored: the disk takes nothing",)
    assert set(faults(state)) < set(problems(state))


def test_heartbeats_of_older_and_of_newer_gateways_are_understood() -> None:
    old = msgspec.msgpack.encode({"version": "0.9", "now": 5, "uptime_s": 1.0, "clock": "kernel", "problems": ["so"]})
    beat = msgspec.msgpack.decode(old, type=Heartbeat)
    assert (beat.faults, beat.silent, beat.disk_total) == (None, None, 0)
    new = msgspec.msgpack.encode({**msgspec.to_builtins(beat), "silent": {"a": 7}, "mood": "good"})
    assert msgspec.msgpack.decode(new, type=Heartbeat).silent == {"a": 7}
