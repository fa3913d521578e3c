"""A PostgreSQL server for the tests: one for all of them, a new database for each that asks."""

from collections.abc import Iterator

import pytest

from bench import postgres as server
from tests.needs import lacks


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[server.Server]:
    """Not as careful with its disk as a real one."""
    if not server.PROGRAMS:
        lacks("PostgreSQL", "postgresql")
    with server.postgres("fsync=off", "shared_buffers=32MB") as running:
        yield running
