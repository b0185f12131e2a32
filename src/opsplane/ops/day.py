"""What happened in the last 24 hours, for the daily look."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from opsplane.database import sql
from opsplane.errors import Unavailable
from opsplane.ops.check import Scene

ROOM = "opsplane.ops"
PATIENCE = 15.0


async def last_day(scene: Scene) -> dict[str, Any]:
    """Figures of the last 24 hours: events published by database, dead letters, tasks by type; None for the unknown."""
    letters, tasks = await asyncio.gather(
        _rows(scene, "operations", "day_of_letters"), _rows(scene, "operations", "day_of_tasks")
    )
    published = {name: await _published(scene, name) for name in scene.databases}
    return {
        "published": published or None,
        "deadLetters": letters[0] if letters else None,
        "tasks": tasks,
    }


async def _published(scene: Scene, database: str) -> int | None:
    rows = await _rows(scene, database, "day_of_outbox")
    return rows[0]["published"] if rows else None


async def _rows(scene: Scene, database: str, statement: str) -> list[dict[str, Any]] | None:
    """The rows; None when they cannot be had in time. Why not is for the checks to say."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await scene.pools[database].fetch(sql(ROOM, statement))
    except (TimeoutError, KeyError, psycopg.Error, Unavailable):
        return None
