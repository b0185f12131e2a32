"""The session that holds the dispatcher's leadership, on which it does all of its work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from opsplane.database import sql
from opsplane.tasks import marks
from opsplane.tasks.marks import Tick


class Session:
    """Statements of the dispatcher, run on the session that holds its lock."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    @classmethod
    async def of(cls, connection: psycopg.AsyncConnection[Any]) -> Session:
        """The session, with the plans that hold without statistics."""
        for setting in (
            "enable_bitmapscan = off",
            "enable_seqscan = off",
            "client_connection_check_interval = 500",
        ):
            await connection.execute(f"set {setting}".encode())
        return cls(connection)

    async def tick(self) -> Tick:
        """One look at the running transactions, for the marks."""
        (row,) = await self._rows(sql(marks.__package__, "tick"), None)
        return Tick(row["at"], row["running"], row["next_xid"], row["own_xid"])

    async def rows(self, name: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of one of the dispatcher's statements; none for one that returns none."""
        return await self._rows(sql(__package__, name), parameters)

    async def _rows(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []


def ids_array(ids: Iterable[str]) -> str:
    """The ids as the text of an array: what psycopg quotes one by one needs no quoting here."""
    return "{" + ",".join(ids) + "}"
