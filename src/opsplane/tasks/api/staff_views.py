"""What staff gets: queues, limits, workers, schedules and previews of bulk actions in camelCase."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from opsplane.tasks.api.views import TaskView


class BulkPreview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a bulk action would touch: how many tasks match now, and the oldest of them."""

    action: str
    dry_run: bool
    matched: int
    sample: list[TaskView]


class QueueView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A queue and what is in it, `unfinished` in all; a `draining` one takes no new tasks. `oldest` is since when its first pending task is due.

    `held` of the pending ones wait for a place under a limit or for their tenant's turn (`fair`).
    """

    name: str
    paused: bool
    paused_by: str | None
    paused_at: datetime | None
    reason: str | None
    draining: bool
    drained_by: str | None
    drained_at: datetime | None
    drain_reason: str | None
    weight: float
    fair: bool
    pending: int
    scheduled: int
    processing: int
    joining: int
    waiting: int
    held: int
    unfinished: int
    oldest: datetime | None


class DrainView(QueueView, frozen=True, kw_only=True, rename="camel"):
    """A queue that is drained; not `closed`: a transaction that is open for long may still add tasks to it."""

    closed: bool


class LimitView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A limit; `taken` of its places are taken, `held` tasks wait behind it (counted up to 10,000)."""

    kind: str
    name: str
    concurrency: int | None
    rate: int | None
    per_seconds: float | None
    taken: int
    held: int
    updated_at: datetime
    updated_by: str


class WorkerView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A worker, or one that went within the last hour; a remote one has an owner and must call until `leaseUntil`."""

    number: int
    name: str
    host: str
    pid: int
    task_types: list[str]
    slots: int
    running: int
    started_at: datetime
    beat_at: datetime
    stopping: bool
    gone_at: datetime | None
    gone_reason: str | None
    owner: str | None
    lease_until: datetime | None


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A schedule; all times up to `decidedTo` are decided, `nextAt` is the first after it."""

    name: str
    cron: str
    zone: str
    overlap: str
    missed: str
    grace_seconds: float
    task_type: str
    entity_type: str | None
    params: Any
    queue: str | None
    priority: int
    max_retries: int | None
    timeout_seconds: float | None
    requested_by: str | None
    decided_to: datetime
    next_at: datetime | None
    last_task: str | None
    paused_by: str | None
    paused_at: datetime | None
    reason: str | None
    created_at: datetime
    updated_at: datetime
    updated_by: str


class ScheduleRunView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was decided at one time of a schedule: `created`, `overlapped`, `missed` or `refused`."""

    due_at: datetime
    at: datetime
    outcome: str
    task_id: str | None
    detail: str | None


class ScheduleDetail(ScheduleView, frozen=True, kw_only=True, rename="camel"):
    """A schedule with its next times and what was decided at its last ones."""

    upcoming: list[datetime]
    runs: list[ScheduleRunView]
