"""An empty store of either kind, and its other eyes: the same store as another hub process sees it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from bench.postgres import Server
from sync.hub.opening import open_store
from sync.hub.readingnodes import NodeDetail, Nodes, NodesQuery
from sync.hub.rights import Caller, Grant, Role
from sync.hub.store import Audit, Store

KINDS = ("sqlite", "postgresql")


async def place(kind: str, request: pytest.FixtureRequest) -> str:
    """What `store:` in hub.yaml would say, of a store that is new."""
    if kind == "sqlite":
        return "hub.db"
    server: Server = request.getfixturevalue("postgres_server")
    return await server.database(uuid4().hex)


@asynccontextmanager
async def opened(where: str, folder: Path) -> AsyncIterator[Store]:
    store = await open_store(where, folder)
    try:
        yield store
    finally:
        await store.close()


def audit(node: str = "node", batch_type: str = "records", at: int = 1000) -> Audit:
    return Audit(at, node, batch_type, "0123456789abcdef:0-9", 100)


async def nodes(store: Store, now: int) -> list[NodeDetail]:
    """All of them, with the newest values of their devices."""
    read = Nodes(store.sql)
    found = await read.lines(Caller("root", (Grant(Role.VIEWER),)), NodesQuery(limit=1000), now)
    return [await read.detail(line.id, now) for line in found.items]
