"""An empty store of either kind, and its other eyes: the same store as another hub process sees it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sync.hub.reading.nodes import NodeDetail, Nodes, NodesQuery
from sync.hub.store.contract import Audit, Store
from sync.hub.store.opening import open_store
from sync.hub.store.sqlite import SqliteStore
from sync.hub.web.rights import Caller, Grant, Role
from tests.hub.postgres import Databases

KINDS = ("sqlite", "postgresql")


async def place(kind: str, request: pytest.FixtureRequest) -> str:
    """What `store:` in hub.yaml would say, of a store with nothing in it; for as long as `request` lasts."""
    if kind == "sqlite":
        return "hub.db"
    databases: Databases = request.getfixturevalue("databases")
    where = await databases.empty()
    request.addfinalizer(lambda: databases.free(where))
    return where


@asynccontextmanager
async def opened(where: str, folder: Path) -> AsyncIterator[Store]:
    if where.endswith(".db") and not (folder / where).exists():
        (folder / where).write_bytes(await _new_file())
    store = await open_store(where, folder)
    try:
        yield store
    finally:
        await store.close()


async def _new_file() -> bytes:
    """A SQLite store with nothing in it: to make one is to wait for the disk some twenty times."""
    if not _NEW:
        with TemporaryDirectory() as folder:
            await (await SqliteStore.open(Path(folder) / "hub.db")).close()
            _NEW.append((Path(folder) / "hub.db").read_bytes())
    return _NEW[0]


_NEW: list[bytes] = []


def audit(node: str = "node", batch_type: str = "records", at: int = 1000) -> Audit:
    return Audit(at, node, batch_type, "0123456789abcdef:0-9", 100)


async def nodes(store: Store, now: int) -> list[NodeDetail]:
    """All of them, with the newest values of their devices."""
    read = Nodes(store.sql)
    found = await read.lines(Caller("root", (Grant(Role.VIEWER),)), NodesQuery(limit=1000), now)
    return [await read.detail(line.id, now) for line in found.items]
