"""Retrying many failed tasks: one statement for a batch, with the history, the counts and the bells of single retries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from opsplane.clock import Clock
from opsplane.database import Connection, sql
from opsplane.tasks import channels
from opsplane.tasks.bulk_actions.bells import Ring
from opsplane.tasks.bulk_actions.place import Did
from opsplane.tasks.bulk_actions.wanted import BulkParams
from opsplane.tasks.events import Happened, append_events
from opsplane.tasks.states import Code
from opsplane.tasks.tallying import Child, tally_children


async def retry_batch(tx: Connection, clock: Clock, ring: Ring, asked: BulkParams, ids: Sequence[str]) -> Did:
    """Have those that failed run again; refused are those whose unique key another unfinished task has."""
    cursor = await tx.execute(sql(__package__, "retry_failed"), {"ids": list(ids)})
    rows = await cursor.fetchall()
    again = [row for row in rows if row["retried"]]
    children = [Child(row["id"], row["parent_id"], Code.FAILED) for row in again if row["parent_id"]]
    await tally_children(tx, children, sign=-1)
    now = clock.now()
    await append_events(tx, [event for row in again for event in _past(row, asked.actor, now)])
    for queue in {row["queue"] for row in again}:
        ring(channels.CREATED, queue)
    if children:
        ring(channels.TALLY, "")
    refused = tuple(row["id"] for row in rows if not row["retried"])
    return Did(retried=tuple(row["id"] for row in again), refused=refused)


def _past(row: Mapping[str, Any], actor: str, now: datetime) -> Iterator[Happened]:
    """What the row of a finished task told, and that it was retried."""
    if row["started_at"] is not None:
        yield Happened(row["id"], row["started_at"], "started", row["attempt"], f"worker {row['worker']}")
    detail = {"error": row["error_kind"], "message": row["error_message"]}
    yield Happened(row["id"], row["completed_at"], "failed", row["attempt"], None, detail)
    yield Happened(row["id"], now, "retried", None, actor)
