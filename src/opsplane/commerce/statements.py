"""Calling the SQL files of a package by name, with named parameters."""

from __future__ import annotations

from typing import Any

from psycopg.rows import DictRow

from opsplane.database import Connection, sql


class Statements:
    """The statements of one package: `await statements.one(tx, "get_order", id=…)`."""

    def __init__(self, package: str) -> None:
        self._package = package

    async def all(self, tx: Connection, name: str, /, **values: Any) -> list[DictRow]:
        """Every row."""
        return await (await tx.execute(sql(self._package, name), values)).fetchall()

    async def one(self, tx: Connection, name: str, /, **values: Any) -> DictRow | None:
        """The first row, or None."""
        return await (await tx.execute(sql(self._package, name), values)).fetchone()

    async def run(self, tx: Connection, name: str, /, **values: Any) -> int:
        """How many rows were touched."""
        return (await tx.execute(sql(self._package, name), values)).rowcount
