"""Reading as somebody: row security policies decide what a viewer sees, whatever the statement asks for.

The policies are about the role `<database>_viewer`, which `Postgres.provision` makes and the owner of the database may take on; the
owner itself passes them by, so that nothing but such reads is any slower. Tables whose policies ask for the viewer are made by
migrations of their rooms.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from opsplane.database.pool import Connection, Pool
from opsplane.database.statements import sql


class Viewer(NamedTuple):
    """Who reads: a subject in a tenant; a `member` sees what is its tenant's, others only what is their own."""

    tenant: str
    subject: str
    member: bool


class ViewedPool(Pool):
    """A pool whose connections are a viewer's: each is in a transaction and may only read what the policies show it."""

    def __init__(self, pool: Pool, viewer: Viewer) -> None:
        self.dsn = pool.dsn
        self._lender = pool
        self._viewer = viewer

    async def close(self) -> None:
        """Do nothing: the connections are the lending pool's."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of the viewer's, inside a transaction."""
        async with self._lender.connection() as connection, connection.transaction():
            await connection.execute(sql(__package__, "view_as"), self._viewer._asdict())
            yield connection
