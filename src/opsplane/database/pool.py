"""Connections to one database."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from opsplane.errors import Unavailable

Connection = AsyncConnection[DictRow]
Parameters = Sequence[Any] | Mapping[str, Any]


class DatabaseUnavailable(Unavailable):
    """No connection to the database could be had in time."""


class Pool:
    """Pooled connections whose rows are dicts; made with `await Pool.open(dsn)`."""

    def __init__(self, dsn: str, pool: AsyncConnectionPool[Connection]) -> None:
        self.dsn = dsn
        self._pool = pool

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        name: str = "opsplane",
        min_size: int = 1,
        max_size: int = 10,
        timeout: float = 10.0,  # noqa: ASYNC109  how long the pool keeps trying
    ) -> Pool:
        """A pool on `dsn`, connected; raises `DatabaseUnavailable` after `timeout` seconds without a connection."""
        dsn = str.__str__(dsn)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            timeout=timeout,
            max_idle=60.0,
            reconnect_timeout=timeout,
            open=False,
            name=name,
            check=_still_there,
            kwargs={"autocommit": True, "row_factory": dict_row, "application_name": name},
        )
        try:
            await pool.open(wait=True, timeout=timeout)
        except PoolTimeout as error:
            await pool.close()
            raise DatabaseUnavailable(
                f"The database {where(dsn)} did not answer within {timeout:g} s.",
                remedy="See: opsplane status",
            ) from error
        return cls(dsn, pool)

    @property
    def where(self) -> str:
        """Database, host and port, for messages."""
        return where(self.dsn)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode, returned to the pool afterwards."""
        try:
            connection = await self._pool.getconn()
        except PoolTimeout as error:
            raise DatabaseUnavailable(
                f"The database {where(self.dsn)} gave no connection in time.", remedy="See: opsplane status"
            ) from error
        try:
            yield connection
        finally:
            await self._pool.putconn(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction: committed on success, rolled back on any error."""
        async with self.connection() as connection:
            _callbacks[connection] = []
            try:
                async with connection.transaction():
                    yield connection
            except BaseException:
                del _callbacks[connection]
                raise
            for callback in _callbacks.pop(connection):
                callback()

    async def fetch(self, statement: LiteralString, parameters: Parameters = ()) -> list[DictRow]:
        """All rows of one statement."""
        async with self.connection() as connection:
            return await (await connection.execute(statement, parameters or None)).fetchall()

    async def fetch_one(self, statement: LiteralString, parameters: Parameters = ()) -> DictRow | None:
        """The first row of one statement, or None."""
        async with self.connection() as connection:
            return await (await connection.execute(statement, parameters or None)).fetchone()

    async def execute(self, statement: LiteralString, parameters: Parameters = ()) -> int:
        """The number of rows one statement touched."""
        async with self.connection() as connection:
            return (await connection.execute(statement, parameters or None)).rowcount


async def _still_there(connection: Connection) -> None:
    """Raise `OperationalError` if the session has ended; costs a round trip only where there is something to hear.

    A server that stops, crashes or ends a session says so or closes the socket, which makes it readable; an idle
    session whose socket is silent is alive, or its peer vanished without a word: then the statement fails by itself.
    """
    listening = select.poll()
    listening.register(connection.fileno(), select.POLLIN)
    if listening.poll(0):
        await AsyncConnectionPool.check_connection(connection)


_callbacks: WeakKeyDictionary[Connection, list[Callable[[], None]]] = WeakKeyDictionary()


def after_commit(tx: Connection, callback: Callable[[], None]) -> None:
    """Have `callback` called once when the transaction `tx` of `Pool.transaction` has committed, and never otherwise.

    In a transaction opened any other way it is not called: what it announces must be found by polling as well.
    """
    waiting = _callbacks.get(tx)
    if waiting is not None and callback not in waiting:
        waiting.append(callback)


def where(dsn: str) -> str:
    """Database, host and port of a DSN, without user or password, for messages."""
    try:
        facts = conninfo_to_dict(str.__str__(dsn))
    except psycopg.ProgrammingError:
        return "(unreadable DSN)"
    return f"{facts.get('dbname')} at {facts.get('host')}:{facts.get('port', 5432)}"
