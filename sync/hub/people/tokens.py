"""Access tokens: JWTs that say whose they are and of which family; what that person may is not in them."""

import secrets

import jwt
import msgspec
from jwt.types import Options

from sync.hub.store.sql import Sql

ALGORITHM = "HS256"
ISSUER, AUDIENCE = "holdfast-hub", "holdfast-api"
LASTS_S = 15 * 60
KEY_BYTES = 32
SETTING = "jwt_key"
KEEP = "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
KEPT = "SELECT value FROM setting WHERE name = $1"
# Its time is looked at by the hub's clock.
OPTIONS: Options = {
    "require": ["iss", "aud", "exp"], "verify_exp": False, "verify_iat": False, "verify_nbf": False
}  # fmt: skip


class Content(msgspec.Struct, frozen=True):
    """`exp` and `iat`: seconds since 1970 UTC; `fam`: the family of refresh tokens that it came with."""

    sub: str
    fam: str
    iat: int
    exp: int


class Tokens:
    """All processes of a hub have the key, which was made once. All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._made: bytes | None = None

    async def made(self, person: str, family: str, now: int) -> str:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": person, "fam": family, "iat": now // 1000,
                  "exp": now // 1000 + LASTS_S}  # fmt: skip
        return jwt.encode(claims, await self._key(), ALGORITHM)

    async def read(self, token: str, now: int) -> Content | None:
        """None for what we have not made, not for this, or too long ago."""
        try:
            plain = jwt.decode(
                token, await self._key(), [ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=OPTIONS
            )  # fmt: skip
            claims = msgspec.convert(plain, Content)
        except (jwt.PyJWTError, ValueError):  # msgspec's errors are ValueErrors
            return None
        return claims if claims.exp * 1000 > now else None

    async def _key(self) -> bytes:
        if self._made is None:
            async with self._sql.transaction() as db:
                await db.execute(KEEP, SETTING, secrets.token_bytes(KEY_BYTES))
                self._made = bytes((await db.fetch(KEPT, SETTING))[0][0])
        return self._made
