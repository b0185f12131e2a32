"""Leadership: an advisory lock on a session of its own, free again as soon as that session ends."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from opsplane.resilience import Stop


class Leader:
    """One of several processes may do a duty; `hold` waits until it is this one.

    Needs a direct connection: a session lock does not pass a transaction pooler such as PgBouncer.
    """

    def __init__(self, dsn: str, name: str, *, poll: float = 0.5) -> None:
        self._dsn = str.__str__(dsn)
        self._key = advisory_key(name)
        self._poll = poll
        self._connection: psycopg.AsyncConnection | None = None

    @asynccontextmanager
    async def hold(self, stop: Stop) -> AsyncIterator[bool]:
        """True while leadership is held; False when `stop` came first."""
        async with await psycopg.AsyncConnection.connect(
            self._dsn, autocommit=True, keepalives_idle=5, keepalives_interval=2, keepalives_count=3
        ) as connection:
            self._connection = connection
            while not await self._try(connection):
                if await stop.wait(self._poll):
                    yield False
                    return
            yield True

    @property
    def session(self) -> psycopg.AsyncConnection:
        """The session that holds the lock: what is written on it was written by the leader, or not at all."""
        if self._connection is None:
            raise RuntimeError("There is no leader's session outside `hold`.")
        return self._connection

    async def still(self) -> bool:
        """Whether the session that holds the lock is alive; ask before work that must not run twice."""
        if self._connection is None or self._connection.closed:
            return False
        try:
            await self._connection.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    async def _try(self, connection: psycopg.AsyncConnection) -> bool:
        row = await (await connection.execute("select pg_try_advisory_lock(%s)", [self._key])).fetchone()
        return bool(row and row[0])


def advisory_key(name: str) -> int:
    """The signed 64-bit advisory lock key of a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
