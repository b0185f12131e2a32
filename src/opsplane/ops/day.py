"""What happened in the last 24 hours, for the daily look."""

from __future__ import annotations

import asyncio
from typing import Any

from opsplane.database import Pool, sql
from opsplane.ops.check import Scene

ROOM = "opsplane.ops"
PATIENCE = 15.0


async def last_day(scene: Scene) -> dict[str, Any]:
    """Figures of the last 24 hours: events published by database, dead letters, tasks by type; None for the unknown."""
    if "postgres" in scene.absent:
        return {"published": None, "deadLetters": None, "tasks": None}
    letters, tasks = await asyncio.gather(
        _rows(scene.operations, "day_of_letters"), _rows(scene.operations, "day_of_tasks")
    )
    published = {name: await _published(pool) for name, pool in scene.databases.items()}
    return {"published": published, "deadLetters": letters[0] if letters else None, "tasks": tasks}


async def _published(pool: Pool) -> int | None:
    there = await pool.fetch_one(sql("opsplane.events", "has_outbox"))
    rows = await _rows(pool, "day_of_outbox") if there and there["here"] else None
    return rows[0]["published"] if rows else None


async def _rows(pool: Pool, statement: str) -> list[dict[str, Any]] | None:
    try:
        async with asyncio.timeout(PATIENCE):
            return await pool.fetch(sql(ROOM, statement))
    except TimeoutError:
        return None  # a figure that cannot be had in time is left out; what is wrong is for the checks to say
