"""`holdfast hub`: a command of its own, and the commands below it."""

from pathlib import Path

from sync.hub.store.sqlite import SqliteStore
from tests.gateway.test_cli import holdfast


async def test_the_hub_cannot_run_without_its_configuration() -> None:
    code, _, err = await holdfast("hub")
    assert code == 2
    assert "Missing option '--config'" in err


async def test_who_puts_a_backup_back_is_told_what_is_gone_with_it(tmp_path: Path) -> None:
    await (await SqliteStore.open(tmp_path / "hub.db")).close()
    (tmp_path / "hub.yaml").write_text("store: hub.db\n")
    config = ("--config", tmp_path / "hub.yaml")
    assert (await holdfast("hub", "backup", tmp_path / "copy", *config))[0] == 0
    code, said, _ = await holdfast("hub", "restore", tmp_path / "copy", *config)
    assert code == 0
    assert "revoke them once more" in said
    assert "enrol them once more, with --again" in said
    (tmp_path / "hub.yaml").write_text("store: postgresql://hub@db/fleet\n")
    code, _, said = await holdfast("hub", "restore", tmp_path / "copy", *config)
    assert code == 2
    assert "name a store of the same kind in hub.yaml" in said
