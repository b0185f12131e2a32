"""Calling the SQL files of a package by name, with named parameters."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncCursor
from psycopg.rows import DictRow

from opsplane.database import Connection, sql
from opsplane.errors import InvalidInput


class Unstorable(InvalidInput):
    """A value is none PostgreSQL can hold: text with a NUL character, a number out of range."""


class Statements:
    """The statements of one package: `await statements.one(tx, "get_order", id=…)`; they raise `Unstorable`."""

    def __init__(self, package: str) -> None:
        self._package = package

    async def all(self, tx: Connection, name: str, /, **values: Any) -> list[DictRow]:
        """Every row."""
        return await (await self._execute(tx, name, values)).fetchall()

    async def one(self, tx: Connection, name: str, /, **values: Any) -> DictRow | None:
        """The first row, or None."""
        return await (await self._execute(tx, name, values)).fetchone()

    async def run(self, tx: Connection, name: str, /, **values: Any) -> int:
        """How many rows were touched."""
        return (await self._execute(tx, name, values)).rowcount

    async def _execute(self, tx: Connection, name: str, values: dict[str, Any]) -> AsyncCursor[DictRow]:
        try:
            return await tx.execute(sql(self._package, name), values)
        except (psycopg.DataError, UnicodeEncodeError) as error:
            raise Unstorable(f"A value cannot be stored: {str(error).splitlines()[0]}") from error
