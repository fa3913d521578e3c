"""Sign-ins that failed: after some in a row a name waits at that address, longer each time; after many also elsewhere.

So nobody else's failures keep a person from signing in where that person is known: at an address from which the name
was signed in lately, only what fails there counts. Whether anybody has the name makes no difference.
"""

from gateway.core.credential import digest
from sync.hub.store.sql import Sql, Work

FREE = 4  # failures in a row at one address that cost no wait
FREE_OF_ALL = 99  # and at all addresses together
ANYWHERE = "*"
WAIT_MAX_MS = 15 * 60_000
FORGOTTEN_MS = 24 * 3_600_000
KNOWN_MS = 30 * FORGOTTEN_MS
# Counted before the password is looked at: many tries at once count, too.
TRY = """INSERT INTO sign_in_failure (name_sha256, address, failures, locked_until) VALUES ($1, $2, 1, $3)
    ON CONFLICT (name_sha256, address) DO UPDATE SET locked_until = excluded.locked_until,
        failures = CASE WHEN sign_in_failure.locked_until < $4 THEN 1 ELSE sign_in_failure.failures + 1 END
    WHERE sign_in_failure.locked_until <= excluded.locked_until RETURNING failures"""
LOCK = "UPDATE sign_in_failure SET locked_until = $3 WHERE name_sha256 = $1 AND address = $2"
LOCKED_UNTIL = "SELECT locked_until FROM sign_in_failure WHERE name_sha256 = $1 AND address = $2"
IS_KNOWN = "SELECT 1 FROM sign_in_failure WHERE name_sha256 = $1 AND address = $2 AND signed_in > $3"
KNOW = """INSERT INTO sign_in_failure (name_sha256, address, failures, locked_until, signed_in)
    VALUES ($1, $2, 0, $3, $3)
    ON CONFLICT (name_sha256, address) DO UPDATE SET failures = 0, locked_until = $3, signed_in = $3"""
FORGET = "UPDATE sign_in_failure SET failures = 0, locked_until = 0 WHERE name_sha256 = $1"
FORGET_AT = FORGET + " AND address = $2"
FORGET_OLD = "DELETE FROM sign_in_failure WHERE locked_until < $1 AND (signed_in IS NULL OR signed_in < $2)"


class Failures:
    """All methods raise StorageError; times are wall times in milliseconds."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def wait_ms(self, name: str, address: str, now: int) -> int:
        """0: the password may be looked at, and until `succeeded` it counts as wrong; else how long to wait first."""
        key = digest(name)
        async with self._sql.transaction() as db:
            is_known = await db.fetch(IS_KNOWN, key, address, now - KNOWN_MS)
            if not is_known and (wait_ms := await _locked_ms(db, key, ANYWHERE, now)):
                return wait_ms
            if wait_ms := await _try(db, key, address, FREE, now):
                return wait_ms
            return 0 if is_known else await _try(db, key, ANYWHERE, FREE_OF_ALL, now)

    async def succeeded(self, name: str, address: str, now: int) -> None:
        """The password was right: this address is known from now on, and failures begin anew."""
        async with self._sql.transaction() as db:
            await db.execute(KNOW, digest(name), address, now)
            await db.execute(FORGET_AT, digest(name), ANYWHERE)

    async def forget(self, name: str) -> None:
        """All failures, wherever they were."""
        async with self._sql.transaction() as db:
            await db.execute(FORGET, digest(name))

    async def tidy(self, now: int) -> None:
        """Forget what is long ago."""
        async with self._sql.transaction() as db:
            await db.execute(FORGET_OLD, now - FORGOTTEN_MS, now - KNOWN_MS)


async def _try(db: Work, key: str, address: str, free: int, now: int) -> int:
    """Count a try there; or how long to wait first."""
    rows = await db.fetch(TRY, key, address, now, now - FORGOTTEN_MS)
    if not rows:
        return max(1, await _locked_ms(db, key, address, now))
    await db.execute(LOCK, key, address, now + pause_ms(rows[0][0], free))
    return 0


async def _locked_ms(db: Work, key: str, address: str, now: int) -> int:
    rows = await db.fetch(LOCKED_UNTIL, key, address)
    return max(0, int(rows[0][0]) - now) if rows else 0


def pause_ms(failures: int, free: int = FREE) -> int:
    """After that many in a row."""
    return 0 if failures <= free else int(min(WAIT_MAX_MS, 1000 * 2 ** min(failures - free, 20)))
