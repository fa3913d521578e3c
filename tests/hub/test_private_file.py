"""Who else on the hub's machine may read its store: nobody, for it holds what people and nodes sign in with."""

from pathlib import Path

import pytest

from sync.hub.store.opening import open_store


@pytest.mark.P11
async def test_only_the_hub_and_its_group_may_read_its_store(tmp_path: Path) -> None:
    for of_before in (False, True):
        for file in tmp_path.iterdir():
            file.chmod(0o644 if of_before else 0o600)
        store = await open_store("hub.db", tmp_path)
        files = [file for file in tmp_path.iterdir() if file.suffix != ".lock"]
        assert len(files) == 3
        assert [file.name for file in files if file.stat().st_mode & 0o007] == []
        await store.close()
