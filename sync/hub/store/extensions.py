"""TimescaleDB and Citus, used where the server has them: docs/decisions/0014-partitions.md."""

import logging
from importlib import resources

import asyncpg

from gateway.core.errors import StorageError
from sync.hub.store.postgresdatabase import MIGRATING, WAIT_S, PostgresDatabase

INSTALLED = "SELECT installed_version FROM pg_available_extensions WHERE name = 'timescaledb'"
CREATE = "CREATE EXTENSION IF NOT EXISTS timescaledb"
# As the migrations made it, and empty: to move records may take hours, and is the operator's to begin.
IS_NEW = "SELECT relkind = 'p' AND NOT EXISTS (SELECT FROM record) FROM pg_class WHERE oid = 'record'::regclass"
# Citus: its workers are the operator's to name, in this database, before the first start.
HAS_CITUS = "SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL"
IS_DISTRIBUTED = "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'record'::regclass)"
HAS_WORKERS = "SELECT EXISTS (SELECT FROM pg_dist_node WHERE isactive AND shouldhaveshards AND noderole = 'primary')"
DISTRIBUTE = "SELECT create_distributed_table('record', 'series')"

log = logging.getLogger(__name__)


async def extend(database: PostgresDatabase, address: str) -> bool:
    """Have Citus or TimescaleDB keep a new database's records. Where neither will, they stay as they are.

    Whether Citus has them. Raises StorageError.
    """
    if (await database.fetch(HAS_CITUS))[0][0] and await _distributed(database):
        return True
    await _with_timescale(database, address)
    return False


async def _distributed(database: PostgresDatabase) -> bool:
    """Over Citus' workers, by series, and so by node: a batch goes to few of them."""
    async with database.transaction() as db:
        await db.execute(MIGRATING)
        if not await db.fetchval(IS_DISTRIBUTED) and await db.fetchval(HAS_WORKERS) and await db.fetchval(IS_NEW):
            await db.execute(DISTRIBUTE)
        return bool(await db.fetchval(IS_DISTRIBUTED))


async def _with_timescale(database: PostgresDatabase, address: str) -> None:
    installed = await database.fetch(INSTALLED)
    if not installed or not (await database.fetch(IS_NEW))[0][0]:
        return
    if installed[0][0] is None and (why := await _not_created(address)):
        log.info("TimescaleDB is there, but cannot be used", extra={"why": why})
        return
    script = resources.files("sync.hub").joinpath("schema_extended", "timescaledb.sql").read_text()
    try:
        async with database.transaction() as db:
            await db.execute(MIGRATING)
            if await db.fetchval(IS_NEW):
                await db.execute(script)
    except StorageError as error:  # as of a build without compression
        log.warning("TimescaleDB is not used", extra={"why": str(error)})


async def _not_created(address: str) -> str:
    """Why, or nothing. On a connection of its own, which the server ends where it has not loaded the library."""
    try:
        connection = await asyncpg.connect(address, timeout=WAIT_S)
    except (asyncpg.PostgresError, OSError, TimeoutError) as error:
        return str(error)
    try:
        await connection.execute(CREATE)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        return str(error)
    finally:
        connection.terminate()
    return ""
