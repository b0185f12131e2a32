"""What a schedule is and what became of its times."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from opsplane.tasks.task import DEFAULT_PRIORITY, NewTask

Overlap = Literal["skip", "allow", "cancel"]
Missed = Literal["skip", "once", "all"]
Outcome = Literal["created", "overlapped", "missed", "refused"]
GRACE = 60.0


class NewSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule to be kept.

    `overlap` says what happens when the last task is unfinished at the next time: nothing, another task, or the last
    one is cancelled first. A time is missed when nobody could decide it within `grace_seconds`; `missed` says
    whether such times are left out, made up for by one task for the latest, or by one task each.
    """

    name: str
    cron: str
    task_type: str
    zone: str = "UTC"
    overlap: Overlap = "skip"
    missed: Missed = "once"
    grace_seconds: float = GRACE
    params: Any = msgspec.field(default_factory=dict)
    entity_type: str | None = None
    queue: str | None = None
    priority: int = DEFAULT_PRIORITY
    max_retries: int | None = None
    timeout_seconds: float | None = None
    tenant: str = "default"
    requested_by: str | None = None

    def task(self) -> NewTask:
        """The task that is due."""
        return NewTask(
            task_type=self.task_type, params=self.params, entity_type=self.entity_type, tenant=self.tenant,
            requested_by=self.requested_by, queue=self.queue, priority=self.priority, max_retries=self.max_retries,
            timeout_seconds=self.timeout_seconds,
        )  # fmt: skip


class Schedule(NewSchedule, frozen=True, kw_only=True):
    """A schedule as it is. Times are UTC; all up to `decided_to` are decided, `next_at` is the first after it."""

    decided_to: datetime
    next_at: datetime | None = None
    last_task: str | None = None
    paused_by: str | None = None
    paused_at: datetime | None = None
    reason: str | None = None
    created_at: datetime
    updated_at: datetime
    updated_by: str


class ScheduleRun(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided at one time of a schedule; `detail` says why where no task was created."""

    due_at: datetime
    at: datetime
    outcome: Outcome
    task_id: str | None = None
    detail: str | None = None
