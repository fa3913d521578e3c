"""Passwords: kept as argon2id, checked in threads so that nobody else waits for it."""

import asyncio
import re
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

LENGTH_MIN, LENGTH_MAX = 12, 256  # characters
AT_ONCE = 2  # each takes 64 MiB
ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without those that look alike
GROUPS, GROUP = 4, 6
# What guessers begin with; what else is in a password has to make it one.
USUAL = re.compile(
    r"passw[o0]r[dt]|qwert[yz](uiop)?|asdf(ghjkl)?|holdfast|admin(istrator)?|root|user|letmein|welcome|changeme|secret"
    r"|abc(d(ef(gh)?)?)?|(0?1)?23456789(0?12)?|1?234?|5678|20[0-9]{2}"
)


def generated() -> str:
    """24 characters of 56, in groups that people can read to each other: 139 bits."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))


def check_new(password: str, name: str) -> None:
    """Raises ValueError with what is wrong with `password` for the person `name`."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise ValueError(f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters")
    if len(set(USUAL.sub("", password.casefold()))) < 5 or (
        name.casefold() in password.casefold() and len(password) < 2 * len(name)
    ):
        raise ValueError("this password is too easy to guess")


class Passwords:
    """RFC 9106's second recommendation (3 passes, 64 MiB, 4 lanes), unless the hasher is another one."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._nobodys = ""

    async def hashed(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, _octets(password))

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether it is the one that `kept` was made of; None, nobody's, takes as long and says no."""
        if not self._nobodys:
            self._nobodys = await self.hashed(generated())
        async with self._turn:
            is_right = await asyncio.to_thread(self._verify, password, kept or self._nobodys)
        return is_right and kept is not None

    def is_old(self, kept: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, password: str, kept: str) -> bool:
        try:
            return self._hasher.verify(kept, _octets(password))
        except (VerificationError, InvalidHashError):
            return False


def _octets(password: str) -> bytes:
    return password.encode(errors="surrogatepass")
