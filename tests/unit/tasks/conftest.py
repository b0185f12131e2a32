from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from opsplane.tasks import NewTask
from opsplane.testing import TaskBench


class Engine(TaskBench):
    """The bench, and what only these tests look at."""

    async def create_many(self, name: str, count: int, **fields: Any) -> list[str]:
        async with self.pool.transaction() as tx:
            return await self.producer.create_many(tx, [NewTask(task_type=name, **fields)] * count)

    async def count(self, table: str, where: str = "true") -> int:
        async with self.pool.connection() as connection:
            row = await (
                await connection.execute(f"select count(*) as n from {table} where {where}".encode())
            ).fetchone()
        return int(row["n"]) if row else 0


@pytest.fixture
async def engine(database: str) -> AsyncIterator[Engine]:
    """The engine on a migrated database."""
    async with Engine.open(database) as found:
        yield found
