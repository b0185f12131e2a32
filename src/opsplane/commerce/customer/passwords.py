"""Passwords: argon2id (RFC 9106), hashed in threads, at most two at once."""

from __future__ import annotations

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's minimum for argon2id
_AT_ONCE = 2


class Passwords:
    """Hashes and checks passwords without holding up other requests."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        async with self._turns:
            return await asyncio.to_thread(_hasher.hash, password)

    async def check(self, kept: str | None, password: str) -> bool:
        """Whether it is the password; takes as long when there is none to compare with."""
        async with self._turns:
            return await asyncio.to_thread(_verify, kept, password)

    @staticmethod
    def outdated(kept: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return _hasher.check_needs_rehash(kept)


def _verify(kept: str | None, password: str) -> bool:
    try:
        _hasher.verify(kept or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


@cache
def _nobody() -> str:
    return _hasher.hash("the password of nobody")
