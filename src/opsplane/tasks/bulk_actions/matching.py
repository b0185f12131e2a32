"""Which tasks a bulk action means: counted, shown, and found batch by batch in the order of their ids."""

from __future__ import annotations

from typing import Any

from psycopg.sql import Identifier

from opsplane.database import Connection, sql
from opsplane.tasks.bulk_actions.wanted import BulkParams
from opsplane.tasks.filter import with_filter


async def count_matching(connection: Connection, wanted: BulkParams) -> int:
    """How many tasks match now."""
    return int((await _rows(connection, "count_matching", wanted, {}))[0]["total"])


async def sample_matching(connection: Connection, wanted: BulkParams, limit: int) -> list[dict[str, Any]]:
    """The oldest of them."""
    return await _rows(connection, "sample_matching", wanted, {"limit": limit})


async def ids_after(connection: Connection, wanted: BulkParams, after: str, limit: int) -> list[str]:
    """The ids of the next ones."""
    rows = await _rows(connection, "find_matching", wanted, {"after": after, "limit": limit})
    return [row["id"] for row in rows]


async def still_there(connection: Connection, wanted: BulkParams, ids: list[str]) -> set[str]:
    """Those of these tasks that match as before: somebody else's transaction has them at this moment."""
    return {row["id"] for row in await _rows(connection, "find_left", wanted, {"ids": ids})}


async def _rows(
    connection: Connection, name: str, wanted: BulkParams, more: dict[str, Any]
) -> list[dict[str, Any]]:
    statement = with_filter(sql(__package__, name), source=Identifier(wanted.source))
    told = {**wanted.parameters(), "fresh": wanted.action == "cancel", **more}
    return await (await connection.execute(statement, told, prepare=False)).fetchall()
