"""Draining a queue: it takes no new tasks, those it holds are run to the end.

Who creates a task reads the table of queues in the statement that inserts it (or, for many, before the COPY). That
statement locks the table for reading before it takes its snapshot, until its transaction ends: once every transaction
that held such a lock after the drain was committed is over, whatever is created later has seen it. Creators wait for
nothing; the drain does, for a while.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from opsplane.clock import Clock
from opsplane.database import Connection, Pool, sql
from opsplane.tasks.errors import QueueDraining

LOOK = 0.02
PATIENCE = 5.0
Place = tuple[str, str | None]  # the queue of a new task, and its parent


async def require_open(tx: Connection, places: Collection[Place]) -> None:
    """Return when each queue takes such a task; raises `QueueDraining`."""
    queues, parents = zip(*sorted(set(places), key=lambda place: (place[0], place[1] or "")), strict=True)
    told = {"queues": list(queues), "parents": list(parents)}
    row = await (await tx.execute(sql(__package__, "find_drained"), told)).fetchone()
    if row is None:
        return
    name, why = row["name"], f": {row['drain_reason']}" if row["drain_reason"] else ""
    raise QueueDraining(
        f"The queue {name} takes no new tasks: {row['drained_by']} has it drained since {row['drained_at']:%Y-%m-%d %H:%M} UTC{why}.",
        remedy=f"Create it in another queue, or let this one take tasks again: opsplane queue resume {name}",
        queue=name,
    )


async def creators_ended(pool: Pool, clock: Clock, patience: float = PATIENCE) -> bool:
    """Whether every transaction that may not have seen what was committed before ended within `patience` seconds."""
    until = time.monotonic() + patience
    waited = await _creators(pool)
    while waited:
        if time.monotonic() >= until:
            return False
        await clock.sleep(LOOK)
        waited &= await _creators(pool)
    return True


async def _creators(pool: Pool) -> set[str]:
    return {row["id"] for row in await pool.fetch(sql(__package__, "find_creators"))}
