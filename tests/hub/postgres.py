"""A PostgreSQL server for the tests: one for a whole run, and its databases, each as a new one for who asks."""

from collections.abc import Iterator

import asyncpg
import pytest

from bench import postgres as server
from sync.hub.store.postgres import PostgresStore
from tests.needs import lacks

SCHEMA = """SELECT relname, relkind FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname !~ '^record_\\d{4}' ORDER BY 1, 2"""
EXTENSIONS = "SELECT extname, '' FROM pg_extension WHERE extname <> 'plpgsql'"
SETTINGS = """SELECT setconfig::text, '' FROM pg_db_role_setting JOIN pg_database ON setdatabase = pg_database.oid
    WHERE datname = current_database()"""
VERSIONS = "SELECT number, '' FROM schema_version ORDER BY 1"
TABLES = """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND NOT relispartition AND relname <> 'schema_version'"""
SEQUENCES = """SELECT setval(oid::regclass, 1, false) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'"""
WEEKS = "SELECT holdfast_weeks()"
END_OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


class Databases:
    """To make one and its schema costs a third of a second of CPU, to empty one some milliseconds."""

    def __init__(self, running: server.Server) -> None:
        self._server = running
        self._made = 0
        self._schema: list[asyncpg.Record] = []
        self._free: list[str] = []

    async def new(self) -> str:
        """The address of one without anything, not even the schema."""
        self._made += 1
        return await self._server.database(f"test_{self._made}")

    async def empty(self) -> str:
        """The address of one with the schema and nothing in it."""
        while self._free:
            if await self._emptied(address := self._free.pop()):
                return address
        address = await self.new()
        await (await PostgresStore.open(address)).close()
        connection = await asyncpg.connect(address)
        self._schema = await _schema(connection)
        await connection.close()
        return address

    def free(self, address: str) -> None:
        """Whoever asked for it needs it no more."""
        self._free.append(address)

    async def _emptied(self, address: str) -> bool:
        """False for one that cannot be as it was: its schema or its settings are others, or it lets nobody in."""
        try:
            connection = await asyncpg.connect(address, server_settings={"statement_timeout": "0"})
        except asyncpg.PostgresError:
            return False
        try:
            await connection.execute(END_OTHERS)  # of a test that failed
            if await _schema(connection) != self._schema:
                return False
            for (week,) in await connection.fetch(WEEKS):
                await connection.execute(f"DROP TABLE record_{week}")
            tables = [table for (table,) in await connection.fetch(TABLES)]
            deletes = [f'DELETE FROM "{table}"' for table in tables]
            without_order = "SET LOCAL session_replication_role = replica"  # of who refers to whom
            await connection.execute("; ".join(["BEGIN", without_order, *deletes, SEQUENCES, "COMMIT"]))
            return True
        finally:
            await connection.close()


async def _schema(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    return [row for query in (SCHEMA, EXTENSIONS, SETTINGS, VERSIONS) for row in await connection.fetch(query)]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[server.Server]:
    """Not as careful with its disk as a real one."""
    if not server.PROGRAMS:
        lacks("PostgreSQL", "postgresql")
    with server.postgres("fsync=off", "shared_buffers=32MB") as running:
        yield running


@pytest.fixture(scope="session")
def databases(postgres_server: server.Server) -> Databases:
    return Databases(postgres_server)
