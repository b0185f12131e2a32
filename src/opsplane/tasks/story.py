"""What the tasks tell about an event: those of its trace, and those created with its id as idempotency key."""

from __future__ import annotations

from opsplane.database import Pool, sql
from opsplane.events.story import Moment
from opsplane.tasks.states import STATUS_OF

MOST = 200


class TaskStory:
    """The tasks of a trace, from the operations database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __call__(self, trace: str, event_id: str) -> list[Moment]:
        """When each was created, started and ended."""
        facts = {"trace": trace, "key": event_id, "limit": MOST}
        moments = []
        for row in await self._pool.fetch(sql(__package__, "tasks_of_trace"), facts):
            place, about = f"task {row['id']}", {"type": row["task_type"], "queue": row["queue"]}
            moments.append(Moment(row["created_at"], "task created", place, about))
            if row["started_at"]:
                tried = {"type": row["task_type"], "attempt": row["attempt"]}
                moments.append(Moment(row["started_at"], "task started", place, tried))
            if row["completed_at"]:
                ended = STATUS_OF[row["status"]].value
                why = {"error": row["error_message"]} if row["error_message"] else {}
                moments.append(Moment(row["completed_at"], f"task {ended}", place, why))
        return moments
