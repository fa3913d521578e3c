"""Which store the hub's configuration means."""

from pathlib import Path

from gateway.core.errors import ConfigError
from sync.hub.store.contract import Store
from sync.hub.store.sqlite import SqliteStore

POSTGRES = ("postgresql://", "postgres://")


async def open_store(where: str, folder: Path, *, as_it_is: bool = False) -> Store:
    """`where`: a file relative to `folder`, or the address of a PostgreSQL database; `as_it_is`: of the latter, nothing
    is made or brought up to date: it is refused where that would be due.

    Raises ConfigError, StorageError.
    """
    if not where.startswith(POSTGRES):
        return await SqliteStore.open(folder / where)
    try:
        from sync.hub.store.postgres import PostgresStore  # brings asyncpg, which few hubs and no gateway need
    except ImportError as error:
        raise ConfigError(f"store: {error}", hint="in Holdfast's folder: .venv/bin/pip install -e '.[hub]'") from error
    return await PostgresStore.open(where, as_it_is=as_it_is)
