"""The stores that the hub's tests run on, each in turn."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sync.hub.store.contract import Store
from tests.hub.stores import KINDS, opened, place


@pytest.fixture(params=KINDS)
async def where(request: pytest.FixtureRequest) -> str:
    """What `store:` in hub.yaml would say of a store that is new."""
    return await place(request.param, request)


@pytest.fixture(params=KINDS)
def somewhere(request: pytest.FixtureRequest) -> str:
    """The same, for tests that run a loop of their own."""
    return asyncio.run(place(request.param, request))


@pytest.fixture
async def store(where: str, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty one."""
    async with opened(where, tmp_path) as store:
        yield store
