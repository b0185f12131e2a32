"""What happened to tasks, where their rows can no longer tell it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from opsplane.database import Connection, sql


class Happened(NamedTuple):
    """One thing that happened to one task."""

    task_id: str
    at: datetime | None  # None: now, by the database's clock; a worker's may be wrong
    kind: str
    attempt: int | None = None
    actor: str | None = None
    detail: dict[str, Any] | None = None


async def append_events(tx: Connection, happened: Sequence[Happened]) -> None:
    """Write them down in the caller's transaction."""
    if not happened:
        return
    parameters = {
        "ids": [one.task_id for one in happened],
        "ats": [one.at for one in happened],
        "kinds": [one.kind for one in happened],
        "attempts": [one.attempt for one in happened],
        "actors": [one.actor for one in happened],
        "details": [msgspec.json.encode(one.detail).decode() if one.detail else None for one in happened],
    }
    await tx.execute(sql(__package__, "insert_events"), parameters)
