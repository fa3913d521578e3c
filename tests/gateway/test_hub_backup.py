"""`holdfast hub backup` and `restore`, on a store of either kind."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import hubbackup
from gateway.core.errors import ConfigError, HoldfastError, RefusedFileError, StorageError
from sync.hub.store.contract import Store
from tests.hub.stores import KINDS, audit, opened, place
from tests.values import METER, power

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def fill(store: Store, times: range) -> None:
    await store.take_layouts([METER], audit("mill"))
    await store.take_records([power(ts, ts) for ts in times], audit("mill"))


async def times(store: Store) -> list[int]:
    return [record.ts for record in await store.records("mill", METER.id)]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_store_is_backed_up_while_the_hub_runs_and_comes_back(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    where = await place(kind, request)
    backup = tmp_path / "hub.backup"
    async with opened(where, tmp_path) as store:
        await fill(store, range(1000, 1500))
        told = await asyncio.to_thread(hubbackup.backup, where, tmp_path, backup)
        assert told.endswith(" MB")
        await fill(store, range(1500, 2000))
        with pytest.raises(RefusedFileError, match=r"in use by another Holdfast|a hub is connected"):
            await asyncio.to_thread(hubbackup.restore, where, tmp_path, backup, NOW)
        assert len(await times(store)) == 1000
    assert backup.stat().st_mode & 0o077 == 0, "nobody else reads what people sign in with"
    target = where if kind == "sqlite" else await request.getfixturevalue("databases").new()
    before = await asyncio.to_thread(hubbackup.restore, target, tmp_path, backup, NOW)
    async with opened(target, tmp_path) as store:
        assert await times(store) == list(range(1000, 1500))
        await fill(store, range(1400, 1600))
        assert len(await times(store)) == 600
    if kind == "sqlite":
        aside = tmp_path / "hub.db.before-restore-20261121-120000"
        assert before == f"what was there before is {aside}"
        async with opened(aside.name, tmp_path) as store:
            assert len(await times(store)) == 1000


async def test_what_holds_a_hubs_data_on_postgresql_is_never_overwritten(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    where, backup = await place("postgresql", request), tmp_path / "hub.backup"
    async with opened(where, tmp_path) as store:
        await fill(store, range(1000, 1010))
    await asyncio.to_thread(hubbackup.backup, where, tmp_path, backup)
    with pytest.raises(RefusedFileError, match="holds a hub's data already"):
        await asyncio.to_thread(hubbackup.restore, where, tmp_path, backup, NOW)


async def test_what_is_no_backup_of_this_store_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    async with opened("hub.db", tmp_path) as store:
        await fill(store, range(1000, 1010))
    (tmp_path / "photo").write_bytes(b"a photo, perhaps")
    (tmp_path / "dump").write_bytes(b"PGDMP\x01\x0e")
    (tmp_path / "torn").write_bytes((tmp_path / "hub.db").read_bytes()[:9000])
    before = (tmp_path / "hub.db").read_bytes()
    for name, words in (("photo", "no backup of a hub"), ("dump", "on PostgreSQL, but"), ("torn", "torn")):
        with pytest.raises(HoldfastError, match=words):
            hubbackup.restore("hub.db", tmp_path, tmp_path / name, NOW)
    with pytest.raises(ConfigError, match="the hub's own file"):
        hubbackup.restore("hub.db", tmp_path, tmp_path / "hub.db", NOW)
    with pytest.raises(ConfigError, match="the hub's own file"):
        hubbackup.backup("hub.db", tmp_path, tmp_path / "hub.db", force=True)
    assert (tmp_path / "hub.db").read_bytes() == before


async def test_what_cannot_be_backed_up_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no such file"):
        hubbackup.backup("hub.db", tmp_path, tmp_path / "hub.backup")
    nowhere = f"postgresql://hub:secret@/hub?host={tmp_path}"
    with pytest.raises(StorageError, match="pg_dump: ") as caught:
        hubbackup.backup(nowhere, tmp_path, tmp_path / "hub.backup")
    assert "secret" not in caught.value.in_full
    assert list(tmp_path.iterdir()) == []
