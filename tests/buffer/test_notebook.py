"""What is remembered of devices survives a restart."""

from pathlib import Path

from gateway.buffer.buffer import Buffer
from gateway.buffer.notebook import CONTACTS_KEPT_MS
from gateway.core.status import Contact

NOW = 1_790_000_000_000


async def test_what_a_device_refuses_is_known_after_a_restart_and_only_under_the_same_plan(tmp_path: Path) -> None:
    ranges = [("holding", 6, 2), ("input", 0, 0)]
    first = await Buffer.open(tmp_path / "b.db")
    await first.notebook.remember_refused("meter", "plan", [("holding", 1, 1)])
    await first.notebook.remember_refused("meter", "plan", ranges)
    await first.close()
    again = await Buffer.open(tmp_path / "b.db")
    assert await again.notebook.refused("meter", "plan") == ranges
    assert await again.notebook.refused("meter", "another plan") == []
    assert await again.notebook.refused("other", "plan") == []
    await again.close()


async def test_serial_numbers_are_known_after_a_restart(tmp_path: Path) -> None:
    first = await Buffer.open(tmp_path / "b.db")
    await first.notebook.keep_serial("meter", "A1", NOW)
    await first.notebook.keep_serial("meter", "A2", NOW)
    await first.close()
    again = await Buffer.open(tmp_path / "b.db")
    assert await again.notebook.serials() == {"meter": "A2"}
    await again.close()


async def test_the_connection_log_is_kept_for_a_week_newest_first(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    old = Contact(NOW - CONTACTS_KEPT_MS - 1, "meter", "offline", "no answer", None)
    kept = Contact(NOW - CONTACTS_KEPT_MS + 1, "meter", "online", "", 31.5)
    await buffer.notebook.log_contacts([old, kept])
    newest = Contact(NOW, "meter", "offline", "no answer", 40.0)
    await buffer.notebook.log_contacts([newest, Contact(NOW, "other", "online", "", None)])
    assert await buffer.notebook.contacts("meter") == [newest, kept]
    await buffer.close()
