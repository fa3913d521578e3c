"""What a heartbeat says of its gateway."""

from pathlib import Path

from gateway.buffer.buffer import Buffer
from gateway.config import Config
from gateway.control import Control
from gateway.core.clock import SystemClock
from gateway.timekeeping import Timekeeper
from gateway.trial import Trials
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
    assert (await control.heartbeat()).disk_free > 0
    folder.rename(tmp_path / "elsewhere")
    assert (await control.heartbeat()).disk_free == 0
    await buffer.close()
    for job in control.jobs().values():
        job.close()
