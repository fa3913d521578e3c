"""Sign-ins that failed: after some in a row a name waits, longer each time, whether anybody has that name or not."""

from gateway.core.credential import digest
from sync.hub.sql import Sql

FREE = 4  # failures in a row that cost no wait
WAIT_MAX_MS = 15 * 60_000
FORGOTTEN_MS = 24 * 3_600_000
# Counted before the password is looked at: many tries at once count, too.
TRY = """INSERT INTO sign_in_failure (name_sha256, failures, locked_until) VALUES ($1, 1, $2)
    ON CONFLICT (name_sha256) DO UPDATE SET locked_until = excluded.locked_until,
        failures = CASE WHEN sign_in_failure.locked_until < $3 THEN 1 ELSE sign_in_failure.failures + 1 END
    WHERE sign_in_failure.locked_until <= excluded.locked_until RETURNING failures"""
LOCK = "UPDATE sign_in_failure SET locked_until = $2 WHERE name_sha256 = $1"
LOCKED_UNTIL = "SELECT locked_until FROM sign_in_failure WHERE name_sha256 = $1"
FORGET = "DELETE FROM sign_in_failure WHERE name_sha256 = $1"
FORGET_OLD = "DELETE FROM sign_in_failure WHERE locked_until < $1"


class Failures:
    """All methods raise StorageError; times are wall times in milliseconds."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def wait_ms(self, name: str, now: int) -> int:
        """0: the password may be looked at, and until `forget` it counts as wrong; else how long to wait first."""
        key = digest(name)
        async with self._sql.transaction() as db:
            rows = await db.fetch(TRY, key, now, now - FORGOTTEN_MS)
            if rows:
                await db.execute(LOCK, key, now + pause_ms(rows[0][0]))
                return 0
            return max(1, int((await db.fetch(LOCKED_UNTIL, key))[0][0]) - now)

    async def forget(self, name: str) -> None:
        async with self._sql.transaction() as db:
            await db.execute(FORGET, digest(name))

    async def tidy(self, now: int) -> None:
        """Forget what is long ago."""
        async with self._sql.transaction() as db:
            await db.execute(FORGET_OLD, now - FORGOTTEN_MS)


def pause_ms(failures: int) -> int:
    """After that many in a row."""
    return 0 if failures <= FREE else int(min(WAIT_MAX_MS, 1000 * 2 ** min(failures - FREE, 20)))
